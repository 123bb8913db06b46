"""A film prepared for the models: read, checked, preprocessed; its pixels need not be kept."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import FilmError, UsageError
from pneumocascade.imaging.dicom.suitability import warnings_of
from pneumocascade.imaging.read import name_of, read_radiograph
from pneumocascade.model.gate import NEVER_JUDGED, UNCHECKED, check_pixels
from pneumocascade.model.preprocess import display_copy, prepare
from pneumocascade.types import Acquisition, Radiograph, Reason

if TYPE_CHECKING:
    from typing import TypeAlias

    from pneumocascade.imaging.read import Source
    from pneumocascade.model.spec import ModelSpec

    AnySource: TypeAlias = Source | Radiograph


@dataclass(frozen=True, slots=True, eq=False)
class PreparedFilm:
    """What the models and the gate need of one film, or why it goes no further.

    Attributes
    ----------
    source : str
    status : {"ok", "refused", "error"}
        As far as it is known without the models.
    warnings : tuple of str
    reasons : tuple of Reason
        Of a film that is refused for its pixels.
    error : Reason or None
        Of a film that could not be read.
    inputs : tuple of ndarray of float32, shape (1, 3, I, I)
        Of stage 1 and of stage 2; empty unless the status is ``"ok"``.
    pixels_sha256 : str
        Of the grey values, row by row.
    acquisition : Acquisition or None
    seconds : float
        That all this took.
    display : Radiograph or None
        What people are shown of it, where it was asked for and the film could be read.
    """

    source: str
    status: Literal["ok", "refused", "error"] = "ok"
    warnings: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    error: Reason | None = None
    inputs: tuple[NDArray[np.float32], ...] = ()
    pixels_sha256: str = ""
    acquisition: Acquisition | None = None
    seconds: float = 0.0
    display: Radiograph | None = None


def prepare_film(
    named: tuple[AnySource, str | None],
    *,
    specs: tuple[ModelSpec, ...],
    gate: bool = True,
    display: bool = False,
) -> PreparedFilm:
    """Read a film, check its pixels, and prepare it for both stages.

    Parameters
    ----------
    named : tuple of source and str or None
        The film, and the name it is shown by where that is not its own.
    specs : tuple of ModelSpec
        Of stage 1 and, where there is one, of stage 2. A film is prepared once where both want the same.
    gate : bool
        ``False``: only what is too small to prepare is refused, and each film that was
        read gets a warning that says so.
    display : bool
        Keep what people are shown of it.
    """
    started = time.perf_counter()
    source, name = named
    try:
        radiograph = source if isinstance(source, Radiograph) else read_radiograph(source, name)
    except FilmError as error:
        # Nothing of it was checked, so no warning says that its size was.
        film = PreparedFilm(name or name_of(source), "error", error=Reason(error.code, error.message))
    else:
        shown = display_copy(radiograph, specs[0]) if display else None
        film = replace(
            _prepared(radiograph, name or radiograph.source, specs, gate),
            pixels_sha256=_digest(radiograph),
            acquisition=radiograph.acquisition,
            display=shown,
        )
    return replace(film, seconds=time.perf_counter() - started)


def _digest(radiograph: Radiograph) -> str:
    return hashlib.sha256(np.ascontiguousarray(radiograph.pixels).data).hexdigest()


def _prepared(radiograph: Radiograph, shown: str, specs: tuple[ModelSpec, ...], gate: bool) -> PreparedFilm:
    notes = () if gate else (UNCHECKED,)
    checks = check_pixels(radiograph)
    warnings = radiograph.warnings + notes + checks.warnings
    if radiograph.acquisition is not None:
        warnings += warnings_of(radiograph.acquisition)
    reasons = checks.reasons
    if not gate:
        reasons = tuple(reason for reason in reasons if reason.code in NEVER_JUDGED)
    if reasons:
        return PreparedFilm(shown, "refused", warnings, reasons)
    first = prepare(radiograph, specs[0])
    others = (first if spec.prepares_like(specs[0]) else prepare(radiograph, spec) for spec in specs[1:])
    return PreparedFilm(shown, "ok", warnings, inputs=(first, *others))


def with_names(
    sources: Iterable[AnySource], names: Iterable[str] | None
) -> Iterator[tuple[AnySource, str | None]]:
    """Yield each film with the name it is shown by, ``None`` where it goes by its own.

    Raises
    ------
    UsageError
        Where there are not as many names as films, as soon as that is seen.
    """
    if names is None:
        yield from ((source, None) for source in sources)
        return
    left = iter(names)
    for count, source in enumerate(sources):
        name = next(left, None)
        if name is None:
            raise UsageError(f"{count} names were given for more films than that")
        yield source, name
    if next(left, None) is not None:
        raise UsageError("more names were given than films")
