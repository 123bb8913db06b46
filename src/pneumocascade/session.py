"""ONNX Runtime behind one class: tensors in, logits and feature maps out."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pneumocascade.errors import ModelError, ModelSpecError
from pneumocascade.spec import METADATA_KEY, ModelSpec


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

    Attributes
    ----------
    spec : ModelSpec

    Raises
    ------
    ModelError
        Where ONNX Runtime cannot load the file.
    ModelSpecError
        Where the file carries no usable specification.
    """

    def __init__(self, model: bytes, name: str = "model", threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise ModelError(f"{name} is not a model that ONNX Runtime can load: {error}") from error
        text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        if text is None:
            raise ModelSpecError(
                f"{name} has no entry {METADATA_KEY!r} in its metadata; export it with this package"
            )
        try:
            self.spec = ModelSpec.from_json(text)
        except ModelSpecError as error:
            raise ModelSpecError(f"{name}: {error}") from error
        outputs = [output.name for output in self._session.get_outputs()]
        if not {"logits", "features"} <= set(outputs):
            raise ModelSpecError(f"{name} has the outputs {outputs}; expected logits and features")
        self._input = self._session.get_inputs()[0].name

    def run(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the network.

        Parameters
        ----------
        batch : ndarray of float32, shape (N, 3, S, S)
            From :func:`pneumocascade.preprocess.prepare`.

        Returns
        -------
        logits : ndarray of float32, shape (N, 2)
        features : ndarray of float32, shape (N, 2048, S/32, S/32)
            The last feature map, before pooling.
        """
        logits, features = self._session.run(["logits", "features"], {self._input: batch})
        return logits, features
