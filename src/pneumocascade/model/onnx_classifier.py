"""A network of an ONNX file behind one class, whatever runs it: tensors in, logits and feature maps out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import ModelSpecError, UsageError
from pneumocascade.model.engines import open_engine
from pneumocascade.model.engines.auto import resolve
from pneumocascade.model.spec import METADATA_KEY, ModelSpec

MAP_OUTPUT = "activation_map"

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
        Threads of one run; 0 for one per core.
    provider : {"cpu", "cuda", "openvino", "auto"}
        What runs the network: ONNX Runtime on the CPU or a GPU, OpenVINO on the CPU, or the fastest of those
        that are installed, where that was measured on such a processor.

    Attributes
    ----------
    spec : ModelSpec
    provider : {"cpu", "cuda", "openvino"}
        What runs the network.
    batch_size : int
        Films that it is best given at once.
    channels : int
        Of the last feature map.

    Raises
    ------
    ModelError
        Where the engine cannot load the file.
    ModelSpecError
        Where the file carries no usable specification.
    MissingExtraError
        Where OpenVINO is asked for and not installed.
    UsageError
        Where the ONNX Runtime that is installed has no such provider, or there is no such number of threads.
    """

    def __init__(self, model: bytes, name: str = "model", threads: int = 0, provider: str = "cpu") -> None:
        if not (isinstance(threads, (int, np.integer)) and threads >= 0):
            raise UsageError(f"threads is {threads!r}; expected a whole number, 0 or more")
        self.provider = resolve(provider).provider
        self.batch_size = BATCH_SIZES.get(self.provider, BATCH_SIZE)
        self._engine = open_engine(model, name, int(threads), self.provider)
        text = self._engine.metadata.get(METADATA_KEY)
        if text is None:
            raise ModelSpecError(
                f"{name} has no entry {METADATA_KEY!r} in its metadata; export it with this package"
            )
        try:
            self.spec = ModelSpec.from_json(text)
        except ModelSpecError as error:
            raise ModelSpecError(f"{name}: {error}") from error
        outputs = self._engine.outputs
        if not {"logits", "features"} <= set(outputs):
            raise ModelSpecError(f"{name} has the outputs {list(outputs)}; expected logits and features")
        self.channels = outputs["features"]
        self._outputs = [each for each in ("logits", "features", MAP_OUTPUT) if each in outputs]

    def run(self, batch: NDArray[np.float32]) -> ModelOutput:
        """Run the network.

        Parameters
        ----------
        batch : ndarray of float32, shape (N, 3, S, S)
            From :func:`pneumocascade.model.preprocess.prepare`.
        """
        logits, features, *maps = self._engine.run(self._outputs, batch)
        return ModelOutput(logits, features, maps[0][:, 0] if maps else None)
