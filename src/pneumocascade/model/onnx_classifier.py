"""ONNX Runtime behind one class: tensors in, logits and feature maps out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pneumocascade.errors import ModelError, ModelSpecError, UsageError
from pneumocascade.model.spec import METADATA_KEY, ModelSpec

MAP_OUTPUT = "activation_map"

PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
    "openvino": ("OpenVINOExecutionProvider", "onnxruntime-openvino"),
}
"""By the name a user gives: ONNX Runtime's name of what runs a model, and the package that has it."""

BATCH_SIZE = 16
"""Films of one run where nothing else was measured."""

BATCH_SIZES = {"cpu": 1}
"""Films of one run that are judged fastest, by provider, where it was measured (docs/performance.md)."""


class ModelOutput(NamedTuple):
    """What a network says of N films.

    Attributes
    ----------
    logits : ndarray of float32, shape (N, 2)
    features : ndarray of float32, shape (N, C, S/32, S/32)
        The last feature map, before pooling; of a ResNet-50 C is 2048.
    activation_maps : ndarray of float32, shape (N, S/32, S/32), or None
        Class-activation map of the difference of the logits: its mean over the positions is that
        difference, but for the classifier's own bias. ``None`` where the file has no such output.
    """

    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    activation_maps: NDArray[np.float32] | None


def check_provider(provider: str) -> None:
    """Check that a provider can be had.

    Raises
    ------
    UsageError
        Where there is none of that name, or the ONNX Runtime that is installed does not have it.
    """
    if provider not in PROVIDERS:
        raise UsageError(f"provider is {provider!r}; expected one of {', '.join(PROVIDERS)}")
    wanted, package = PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise UsageError(
            f"the ONNX Runtime that is installed cannot run models with {provider}: install {package} "
            "in place of onnxruntime"
        )


class OnnxClassifier:
    """One stage's network, with its specification.

    Parameters
    ----------
    model : bytes
        An ONNX file whose metadata holds a :class:`ModelSpec` and whose outputs are ``logits``
        and ``features``.
    name : str
        For messages.
    threads : int
        Threads of one run; 0 lets ONNX Runtime decide (one per physical core).
    provider : {"cpu", "cuda", "openvino"}
        What runs the network; what it has no kernel for runs on the CPU.

    Attributes
    ----------
    spec : ModelSpec
    batch_size : int
        Films that it is best given at once.
    channels : int
        Of the last feature map.

    Raises
    ------
    ModelError
        Where ONNX Runtime cannot load the file.
    ModelSpecError
        Where the file carries no usable specification.
    UsageError
        Where the ONNX Runtime that is installed has no such provider, or there is no such number of threads.
    """

    def __init__(self, model: bytes, name: str = "model", threads: int = 0, provider: str = "cpu") -> None:
        check_provider(provider)
        if not (isinstance(threads, (int, np.integer)) and threads >= 0):
            raise UsageError(f"threads is {threads!r}; expected a whole number, 0 or more")
        self.batch_size = BATCH_SIZES.get(provider, BATCH_SIZE)
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(threads)
        options.inter_op_num_threads = 1
        # Threads of one stage that spin for work take the cores from the other stage and from reading.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            providers = list(dict.fromkeys((PROVIDERS[provider][0], PROVIDERS["cpu"][0])))
            self._session = ort.InferenceSession(model, options, providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise ModelError(f"{name} is not a model that ONNX Runtime can load: {error}") from error
        if (
            providers[0] not in self._session.get_providers()
        ):  # its libraries did not load: ORT goes on without
            raise UsageError(
                f"{provider} is in this ONNX Runtime, but could not be started: is its driver there?"
            )
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise ModelSpecError(
                f"{name} has no entry {METADATA_KEY!r} in its metadata; export it with this package"
            )
        try:
            self.spec = ModelSpec.from_json(text)
        except ModelSpecError as error:
            raise ModelSpecError(f"{name}: {error}") from error
        outputs = {output.name: output.shape for output in self._session.get_outputs()}
        if not {"logits", "features"} <= outputs.keys():
            raise ModelSpecError(f"{name} has the outputs {list(outputs)}; expected logits and features")
        self.channels = int(outputs["features"][1])
        self._input = self._session.get_inputs()[0].name
        self._outputs = [name for name in ("logits", "features", MAP_OUTPUT) if name in outputs]

    def run(self, batch: NDArray[np.float32]) -> ModelOutput:
        """Run the network.

        Parameters
        ----------
        batch : ndarray of float32, shape (N, 3, S, S)
            From :func:`pneumocascade.model.preprocess.prepare`.
        """
        logits, features, *maps = self._session.run(self._outputs, {self._input: batch})
        return ModelOutput(logits, features, maps[0][:, 0] if maps else None)
