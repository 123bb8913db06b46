"""Python, this package, what it depends on, and its extras."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING

from pneumocascade import __version__
from pneumocascade.doctor.check import Check, pip

if TYPE_CHECKING:
    from packaging.requirements import Requirement

EXTRAS = {
    "web": "serve",
    "report": "reports and DICOM output",
    "evaluate": "evaluate and compare",
    "node": "node and watch",
    "parquet": "predict --format parquet",
    "ray": "predict --engine ray",
    "openvino": "--provider openvino",
    "train": "train, export and calibrate",
}
"""Optional parts of the package, and what needs them."""

STAND_INS = {
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino"),
    "opencv-python-headless": ("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
}
"""Distributions that bring the same modules as one that is required."""


def check_python() -> list[Check]:
    """Check Python's version against what the package's metadata ask for."""
    from packaging.specifiers import SpecifierSet

    found = f"{platform.python_implementation()} {platform.python_version()}"
    wanted = metadata.metadata("pneumocascade")["Requires-Python"]
    if SpecifierSet(wanted).contains(platform.python_version(), prereleases=True):
        return [Check("Python", "ok", f"{found} (expected {wanted})")]
    advice = "make an environment with a newer Python, and in it: pip install pneumocascade"
    return [Check("Python", "problem", f"{found}, expected {wanted}", advice)]


def check_package() -> list[Check]:
    """Check that the version of the code is the one that was installed."""
    installed = metadata.version("pneumocascade")
    if installed == __version__:
        return [Check("pneumocascade", "ok", __version__)]
    found = f"the code says {__version__}, its metadata {installed}: another copy comes first"
    shadow = f"install it again: {pip()} --force-reinstall --no-deps pneumocascade"
    return [Check("pneumocascade", "problem", found, shadow)]


def check_dependencies() -> list[Check]:
    """Check what the package cannot do without."""
    wanted = list(_required(""))
    amiss = [text for text in map(_amiss, wanted) if text]
    if not amiss:
        return [Check("dependencies", "ok", _versions(wanted))]
    advice = f"{pip()} --upgrade {_quoted(wanted)}"
    return [Check("dependencies", "problem", "; ".join(amiss), advice)]


def check_extras() -> list[Check]:
    """Check which optional parts are whole; none of them is needed by everyone."""
    return [_extra(name, use) for name, use in EXTRAS.items()]


def _extra(name: str, use: str) -> Check:
    wanted = list(_required(name))
    amiss = [text for text in map(_amiss, wanted) if text]
    title = f"extra [{name}]"
    if not amiss:
        return Check(title, "ok", f"whole: {_versions(wanted)}")
    return Check(title, "note", "; ".join(amiss), f"for {use}: {pip()} 'pneumocascade[{name}]'")


def _required(extra: str) -> Iterator[Requirement]:
    """Yield what the package requires here, or what an extra of it requires besides."""
    from packaging.requirements import Requirement

    for text in metadata.requires("pneumocascade") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always if not extra else not always and marker is not None and marker.evaluate({"extra": extra}):
            yield requirement


def _amiss(requirement: Requirement) -> str:
    """Return what is wrong with a distribution, empty where nothing is."""
    name, version = _installed(requirement.name)
    if not version:
        return f"{name} is missing"
    if requirement.specifier.contains(version, prereleases=True):
        return ""
    return f"{name} is {version}, expected {requirement.specifier}"


def _installed(wanted: str) -> tuple[str, str]:
    """Return the name and version of a distribution or of one that stands in for it; no version: missing."""
    for name in (wanted, *STAND_INS.get(wanted, ())):
        with suppress(metadata.PackageNotFoundError):
            return name, metadata.version(name)
    return wanted, ""


def _versions(requirements: list[Requirement]) -> str:
    return ", ".join(" ".join(_installed(each.name)) for each in requirements)


def _quoted(requirements: list[Requirement]) -> str:
    wrong = [requirement for requirement in requirements if _amiss(requirement)]
    return " ".join(f"'{each.name}{each.specifier}'" for each in wrong)
