"""What runs the networks: ONNX Runtime or OpenVINO, behind one interface.

``onnx_runtime.py`` and ``openvino.py`` hold an engine each, ``auto.py`` chooses one by what was measured,
``compiled_cache.py`` keeps what OpenVINO compiled, ``processor.py`` says what the machine has.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import MissingExtraError, UsageError

AUTO = "auto"
"""The provider that stands for the one that was measured to be fastest."""

ORT_PROVIDERS = {
    "cpu": ("CPUExecutionProvider", "onnxruntime"),
    "cuda": ("CUDAExecutionProvider", "onnxruntime-gpu"),
}
"""Providers that ONNX Runtime is: its name for each, and the package that has it."""

PROVIDERS = (*ORT_PROVIDERS, "openvino")
"""What can run the networks, by the name that a user gives."""


class InferenceEngine(Protocol):
    """One network, loaded; threads may run it at once."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the ONNX file."""
        ...

    @property
    def outputs(self) -> Mapping[str, int]:
        """What the network returns, and the size of its second axis: classes, or channels."""
        ...

    def run(self, outputs: Sequence[str], batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Return the named outputs for a batch of shape (N, 3, S, S); they are the caller's own."""
        ...


def check_provider(provider: str) -> None:
    """Check that a provider can be had.

    Raises
    ------
    MissingExtraError
        Where it is OpenVINO and that is not installed.
    UsageError
        Where there is none of that name, or the ONNX Runtime that is installed does not have it.
    """
    if provider not in PROVIDERS:
        raise UsageError(f"provider is {provider!r}; expected one of {', '.join((*PROVIDERS, AUTO))}")
    if provider == "openvino":
        if importlib.util.find_spec("openvino") is None:
            raise MissingExtraError("the provider openvino", "openvino")
        return
    import onnxruntime as ort

    wanted, package = ORT_PROVIDERS[provider]
    if wanted not in ort.get_available_providers():
        raise UsageError(
            f"the ONNX Runtime that is installed cannot run models with {provider}: install {package} "
            "in place of onnxruntime"
        )


def available_providers() -> tuple[str, ...]:
    """Return which of ``PROVIDERS`` can be had."""
    return tuple(provider for provider in PROVIDERS if _there(provider))


def _there(provider: str) -> bool:
    try:
        check_provider(provider)
    except (MissingExtraError, UsageError):
        return False
    return True


def open_engine(model: bytes, name: str, threads: int, provider: str) -> InferenceEngine:
    """Load a network.

    Parameters
    ----------
    model : bytes
        An ONNX file.
    name : str
        For messages.
    threads : int
        Threads of one run; 0 for one per core.
    provider : str
        One of ``PROVIDERS``.

    Raises
    ------
    MissingExtraError, UsageError
        As :func:`check_provider`, and where a provider that is installed does not start.
    ModelError
        Where the engine cannot load the file.
    """
    check_provider(provider)
    if provider == "openvino":
        from pneumocascade.model.engines.openvino import OpenVinoEngine

        return OpenVinoEngine(model, name, threads)
    from pneumocascade.model.engines.onnx_runtime import OrtEngine

    return OrtEngine(model, name, threads, provider)
