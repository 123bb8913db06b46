"""What a film's DICOM object says of how it was made; nothing that tells who the patient is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.explain.html import render
from pneumocascade.i18n import decimal, gettext_noop, ngettext
from pneumocascade.i18n import gettext as _
from pneumocascade.imaging.dicom.suitability import known_modality, known_view

if TYPE_CHECKING:
    from pneumocascade.types import Acquisition

NOT_SAID = gettext_noop("not said")

_OLDEST_SHOWN = 89
"""Years; a higher age would tell too much (45 CFR 164.514, Safe Harbor)."""

_PHOTOMETRIC = {
    "MONOCHROME1": gettext_noop("MONOCHROME1 (low values are white)"),
    "MONOCHROME2": gettext_noop("MONOCHROME2 (low values are black)"),
}

_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")

_BURNED_IN = {
    "YES": gettext_noop("yes: the picture may hold text that names the patient"),
    "NO": gettext_noop("no"),
}

_VOI = {
    "window": gettext_noop("centre %(centre)s, width %(width)s"),
    "histogram": gettext_noop("centre %(centre)s, width %(width)s, taken from the histogram"),
    "lut": gettext_noop("VOI LUT of the object"),
    "range": gettext_noop("none: the whole range of values is shown"),
    "": gettext_noop("none: the film is in colour"),
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
        (_("Modality"), known_modality(said.modality)),
        (_("View position"), known_view(said.view_position)),
        (_("Age"), _age(said.age_years)),
        (_("Photometric interpretation"), _(photometric)),
        (_("Window"), _window(said.voi, said.window)),
        (_("Pixel spacing"), _spacing(said.pixel_spacing)),
        (_("Burned-in annotation"), _(_BURNED_IN.get(said.burned_in, ""))),
    )
    return [(name, value or _(NOT_SAID)) for name, value in facts]


def _window(voi: str, window: tuple[float, float] | None) -> str:
    shown = _VOI.get(voi, "")
    if window is None:
        return _(shown)
    centre, width = window
    return _(shown, centre=decimal(f"{centre:g}"), width=decimal(f"{width:g}"))


def _age(years: float | None) -> str:
    if years is None:
        return ""
    if years < 2:
        months = int(12 * years + 0.05)
        return ngettext("%(count)s month", "%(count)s months", months)
    if years > _OLDEST_SHOWN:
        return _("over %(years)s years", years=_OLDEST_SHOWN)
    return _("%(years)s years", years=int(years + 0.01))


def _spacing(spacing: tuple[float, float] | None) -> str:
    if spacing is None:
        return ""
    rows, columns = (decimal(f"{each:g}") for each in spacing)
    if rows == columns:
        return f"{rows} mm"
    return _("%(rows)s mm between rows, %(columns)s mm between columns", rows=rows, columns=columns)
