"""What a film's DICOM object says of how it was made; nothing that tells who the patient is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.html import render
from pneumocascade.imaging.dicom.suitability import known_modality, known_view

if TYPE_CHECKING:
    from pneumocascade.types import Acquisition

NOT_SAID = "not said"

_OLDEST_SHOWN = 89
"""Years; a higher age would tell too much (45 CFR 164.514, Safe Harbor)."""

_PHOTOMETRIC = {
    "MONOCHROME1": "MONOCHROME1 (low values are white)",
    "MONOCHROME2": "MONOCHROME2 (low values are black)",
}

_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")

_BURNED_IN = {
    "YES": "yes: the picture may hold text that names the patient",
    "NO": "no",
}

_VOI = {
    "window": "centre {:g}, width {:g}",
    "histogram": "centre {:g}, width {:g}, taken from the histogram",
    "lut": "VOI LUT of the object",
    "range": "none: the whole range of values is shown",
    "": "none: the film is in colour",
}


def dicom_panel(acquisition: Acquisition | None) -> str:
    """Return the panel of a film that came as DICOM; nothing for other films.

    The facts come with the one decoding of the film. Values that are no words of the standard are left out:
    they may be free text.

    Parameters
    ----------
    acquisition : Acquisition or None
    """
    return "" if acquisition is None else render("web/dicom.html.j2", facts=_facts(acquisition))


def _facts(said: Acquisition) -> list[tuple[str, str]]:
    photometric = said.photometric if said.photometric in _COLOUR else _PHOTOMETRIC.get(said.photometric, "")
    facts = (
        ("Modality", known_modality(said.modality)),
        ("View position", known_view(said.view_position)),
        ("Age", _age(said.age_years)),
        ("Photometric interpretation", photometric),
        ("Window", _VOI.get(said.voi, "").format(*(said.window or ()))),
        ("Pixel spacing", _spacing(said.pixel_spacing)),
        ("Burned-in annotation", _BURNED_IN.get(said.burned_in, "")),
    )
    return [(name, value or NOT_SAID) for name, value in facts]


def _age(years: float | None) -> str:
    if years is None:
        return ""
    if years < 2:
        months = int(12 * years + 0.05)
        return "1 month" if months == 1 else f"{months} months"
    return f"{int(years + 0.01)} years" if years <= _OLDEST_SHOWN else f"over {_OLDEST_SHOWN} years"


def _spacing(spacing: tuple[float, float] | None) -> str:
    if spacing is None:
        return ""
    rows, columns = spacing
    return f"{rows:g} mm" if rows == columns else f"{rows:g} mm between rows, {columns:g} mm between columns"
