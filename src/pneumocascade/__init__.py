"""Two-stage reading of chest radiographs: normal or pneumonia, then bacterial or viral.

Research and education only; not a medical device.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# ONNX Runtime keeps a device identifier and sends events unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from pneumocascade.errors import (
        DataSetError,
        FilmError,
        MissingExtraError,
        ModelError,
        PneumocascadeError,
        TrainingError,
        UsageError,
    )
    from pneumocascade.explain.saliency import overlay, saliency_of
    from pneumocascade.imaging.read import read_radiograph
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.model.preprocess import Steps, prepare, steps_of
    from pneumocascade.model.spec import ModelSpec, OperatingPoint
    from pneumocascade.output.rows import to_frame
    from pneumocascade.types import Prediction, Radiograph, Reason, StageResult

__version__ = "0.2.0.dev0"

__all__ = [
    "Cascade",
    "DataSetError",
    "FilmError",
    "MissingExtraError",
    "ModelError",
    "ModelSpec",
    "OperatingPoint",
    "PneumocascadeError",
    "Prediction",
    "Radiograph",
    "Reason",
    "StageResult",
    "Steps",
    "TrainingError",
    "UsageError",
    "__version__",
    "overlay",
    "prepare",
    "read_radiograph",
    "saliency_of",
    "steps_of",
    "to_frame",
]

_HOMES = {
    "inference.cascade": ("Cascade",),
    "errors": (
        "DataSetError",
        "FilmError",
        "MissingExtraError",
        "ModelError",
        "PneumocascadeError",
        "TrainingError",
        "UsageError",
    ),
    "model.preprocess": ("Steps", "prepare", "steps_of"),
    "imaging.read": ("read_radiograph",),
    "types": ("Prediction", "Radiograph", "Reason", "StageResult"),
    "explain.saliency": ("overlay", "saliency_of"),
    "model.spec": ("ModelSpec", "OperatingPoint"),
    "output.rows": ("to_frame",),
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that ``--version`` stays fast (PEP 562)."""
    import importlib

    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"pneumocascade.{module}"), name)
    raise AttributeError(f"module 'pneumocascade' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
