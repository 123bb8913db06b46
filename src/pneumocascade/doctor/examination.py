"""All checks, in the order in which they are shown: what others rest on comes first."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumocascade import __version__
from pneumocascade.doctor import decoders, installation, machine, models, places
from pneumocascade.doctor.check import Check, checked
from pneumocascade.doctor.child import check_libraries
from pneumocascade.types import DISCLAIMER

if TYPE_CHECKING:
    from typing import TypeAlias

    _Checks: TypeAlias = dict[str, Callable[[], list[Check]]]


def examine(folder: Path | None = None, port: int = 7860) -> list[Check]:
    """Make every check; none takes another along.

    Parameters
    ----------
    folder : Path, optional
        Of the models; by default the bundled ones.
    port : int
        That ``serve`` is to listen on, 1..65535.
    """
    installed: _Checks = {
        "Python": installation.check_python,
        "pneumocascade": installation.check_package,
        "dependencies": installation.check_dependencies,
        "extras": installation.check_extras,
        "libraries": check_libraries,
    }
    loading: _Checks = {
        "model files": partial(models.check_models, folder),
        "providers": models.check_providers,
        "DICOM": decoders.check_dicom,
        "decoding process": decoders.check_workers,
    }
    around: _Checks = {
        "PDF": decoders.check_pdf,
        "cores": machine.check_cores,
        "processor": machine.check_processor,
        "memory": machine.check_memory,
        "telemetry": machine.check_telemetry,
        "state folder": places.check_state,
        "history": places.check_history,
        "temporary folder": places.check_temporary,
        "port": partial(places.check_port, port),
    }
    found = _made(installed)
    # A library that crashes would take this process along, and all that was found with it.
    if found[-1].status == "problem":
        loading = {}
    return [*found, *_made(loading), *_made(around)]


def _made(checks: _Checks) -> list[Check]:
    return [found for name, check in checks.items() for found in checked(name, check)]


def summary_of(checks: list[Check]) -> dict[str, int]:
    """Return how many checks ended how."""
    counts = Counter(check.status for check in checks)
    return {"ok": counts["ok"], "notes": counts["note"], "problems": counts["problem"]}


def to_dict(checks: list[Check]) -> dict[str, Any]:
    """Return the checks as the JSON object that the command promises."""
    return {
        "version": __version__,
        "platform": f"{platform.platform()}, Python {platform.python_version()}",
        "intended_use": DISCLAIMER,
        "checks": [asdict(check) for check in checks],
        "summary": summary_of(checks),
    }
