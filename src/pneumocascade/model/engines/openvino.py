"""OpenVINO as an engine, on the CPU (extra ``[openvino]``)."""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import ModelError, UsageError
from pneumocascade.model.engines.compiled_cache import Compiled, CompiledCache
from pneumocascade.model.engines.processor import usable_cores

_DEVICE = "CPU"
_TELEMETRY = "openvino_telemetry"
_LOADING = threading.Lock()
"""Held while a network is loaded and first run: two threads that give OpenVINO their first array at once wait
for each other for ever."""


def _openvino() -> Any:
    """Import OpenVINO without what reports its imports to its makers.

    ``import openvino`` sends an event over the network where ``openvino_telemetry`` is installed, which it
    requires; no variable turns that off. Without that package it keeps to itself.

    Raises
    ------
    UsageError
        Where it is installed but its libraries do not load.
    """
    absent = _TELEMETRY not in sys.modules
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # what makes an import fail
    try:
        import openvino
    except ImportError as error:
        raise UsageError(
            "OpenVINO is installed, but could not be started: install it again (pip install "
            "--force-reinstall openvino), or use --provider cpu"
        ) from error
    finally:
        if absent:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before  # type: ignore[assignment]
    return openvino


@lru_cache(maxsize=1)
def _core() -> Any:
    """Return the one core of this process; threads may share it."""
    return _openvino().Core()


def _settings(threads: int) -> dict[str, Any]:
    """Return how a network is to run.

    One stream: with two or more, OpenVINO 2026.4.1 gives wrong answers for these networks and writes over
    memory that is not its own (docs/decisions.md). Threads are not bound to cores: those of both stages would
    be bound to the same. Sums and what is not INT8 are float32 on every processor; by default OpenVINO takes
    16 bits where the hardware has them.
    """
    return {
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads or usable_cores(),
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "f32",
    }


class OpenVinoEngine:
    """A network in OpenVINO; see :func:`pneumocascade.model.engines.open_engine`.

    Runs of several threads take turns.

    Parameters
    ----------
    model : bytes
    name : str
    threads : int
        0 for one per core.
    cache : CompiledCache, optional
        By default the one of this user.
    """

    def __init__(self, model: bytes, name: str, threads: int, cache: CompiledCache | None = None) -> None:
        self.metadata: Mapping[str, str] = {}
        self.outputs: Mapping[str, int] = {}
        self._idle: deque[Any] = deque()
        with _LOADING:
            self._load(model, name, threads, CompiledCache() if cache is None else cache)

    def _load(self, model: bytes, name: str, threads: int, cache: CompiledCache) -> None:
        core = _core()
        processor = core.get_property(_DEVICE, "FULL_DEVICE_NAME")
        key = cache.key(model, _openvino().get_version(), processor, str(threads))
        kept = cache.get(key)
        if kept is not None and self._import(kept, threads):
            return
        try:
            network = core.read_model(model, b"")
            self._use(core.compile_model(network, _DEVICE, _settings(threads)))
        except RuntimeError as error:
            raise ModelError(
                f"{name} is not a model that OpenVINO can load: export it with this package"
            ) from error
        self.metadata = _metadata_of(network)
        cache.put(key, Compiled(self._compiled.export_model().getvalue(), self.metadata, self._digest()))

    def _use(self, compiled: Any) -> None:
        self._compiled = compiled
        self._ports = {each: port for port in compiled.outputs for each in port.get_names()}
        self.outputs = {each: port.partial_shape[1].get_length() for each, port in self._ports.items()}
        self._idle.clear()

    def _import(self, kept: Compiled, threads: int) -> bool:
        """Take a compiled network from the cache; return whether it answers as when it was compiled."""
        try:
            self._use(_core().import_model(kept.network, _DEVICE, _settings(threads)))
        except RuntimeError:  # made for another processor or version after all
            return False
        self.metadata = kept.metadata
        return self._digest() == kept.answers

    def _digest(self) -> str:
        """Return the SHA-256 of all outputs for an input of noise."""
        shape = [size.get_length() if size.is_static else 1 for size in self._compiled.input(0).partial_shape]
        noise = np.random.default_rng(0).standard_normal(shape, np.float32)
        digest = hashlib.sha256()
        for found in self.run(sorted(self.outputs), noise):
            digest.update(found.tobytes())
        return digest.hexdigest()

    def run(self, outputs: Sequence[str], batch: NDArray[np.float32]) -> Sequence[NDArray[np.float32]]:
        """Return the named outputs for a batch of films; each thread has a request of its own."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        request.infer([batch])  # a copy: what it is given is not to be written on
        found = [np.array(request.get_tensor(self._ports[each]).data) for each in outputs]
        self._idle.append(request)
        return found


def _metadata_of(network: Any) -> dict[str, str]:
    """Return the metadata that OpenVINO keeps of an ONNX file."""
    if not network.has_rt_info(["framework"]):
        return {}
    return {key: str(value.value) for key, value in network.get_rt_info()["framework"].items()}
