"""ONNX Runtime as an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pneumocascade.errors import ModelError, UsageError
from pneumocascade.model.engines import ORT_PROVIDERS


class OrtEngine:
    """A network in ONNX Runtime; see :func:`pneumocascade.model.engines.open_engine`.

    Parameters
    ----------
    model : bytes
    name : str
    threads : int
        0 lets ONNX Runtime decide: one per physical core.
    provider : {"cpu", "cuda"}
        What it has no kernel for runs on the CPU.
    """

    def __init__(self, model: bytes, name: str, threads: int, provider: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads of one stage that spin for work take the cores from the other stage and from reading.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = list(dict.fromkeys((ORT_PROVIDERS[provider][0], ORT_PROVIDERS["cpu"][0])))
        try:
            self._session = ort.InferenceSession(model, options, providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise ModelError(f"{name} is not a model that ONNX Runtime can load: {error}") from error
        if (
            providers[0] not in self._session.get_providers()
        ):  # its libraries did not load: it goes on without
            raise UsageError(
                f"{provider} is in this ONNX Runtime, but could not be started: is its driver there?"
            )
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.outputs: Mapping[str, int] = {
            output.name: int(output.shape[1]) for output in self._session.get_outputs()
        }
        self._input = self._session.get_inputs()[0].name

    def run(self, outputs: Sequence[str], batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Return the named outputs for a batch of films."""
        found: list[NDArray[np.float32]] = self._session.run(list(outputs), {self._input: batch})
        return found
