"""The bundled example films as tiles to click, and the film that would be analysed, small."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from pneumocascade.explain.html import data_uri
from pneumocascade.explain.pictures import film_picture
from pneumocascade.i18n import gettext as _
from pneumocascade.i18n import gettext_noop
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.web.analysis import Analysis, analyse
from pneumocascade.web.fragments import piece

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade

NEW = gettext_noop("New to the models")
LEARNT_FROM = gettext_noop("Training films: no test of the models")
REFUSED = gettext_noop("Refused")

GROUPS = {
    NEW: gettext_noop(
        "The models were trained on no film of these patients. No viral film is among them: the published "
        "split that they come from holds none."
    ),
    LEARNT_FROM: gettext_noop(
        "The models were trained on these very films, chosen because the answers are right."
    ),
    REFUSED: gettext_noop("The gate refuses it; one click turns it upright."),
}
"""Groups of example films, in their order, and what is said of each."""


@dataclass(frozen=True, slots=True)
class Example:
    """A bundled film.

    Attributes
    ----------
    name : str
        Path below the folder of examples.
    reference : str
        Reference standard: ``"normal"``, ``"bacterial"``, ``"viral"`` or, where the aetiology is not known,
        ``"pneumonia"``.
    label : str
        Stands below its picture.
    group : str
        Key of ``GROUPS``.
    """

    name: str
    reference: str
    label: str
    group: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(str(resources.files("pneumocascade") / "examples")) / self.name


EXAMPLE_FILMS = (
    Example("NORMAL2-IM-1442-0001.jpeg", "normal", gettext_noop("Normal"), NEW),
    Example("person1946_bacteria_4874.jpeg", "bacterial", gettext_noop("Bacterial"), NEW),
    Example("person1951_bacteria_4882.jpeg", "bacterial", gettext_noop("Bacterial, another"), NEW),
    Example("NORMAL2-IM-1437-0001.jpeg", "normal", gettext_noop("Normal: the models are wrong"), NEW),
    Example(
        "learnt-from/person67_bacteria_333.jpeg", "bacterial", gettext_noop("Child, bacterial"), LEARNT_FROM
    ),
    Example("learnt-from/person366_virus_746.jpeg", "viral", gettext_noop("Child, viral"), LEARNT_FROM),
    Example("learnt-from/nih-00001992_000.jpeg", "normal", gettext_noop("Adult, normal"), LEARNT_FROM),
    Example("learnt-from/nih-00003391_001.jpeg", "pneumonia", gettext_noop("Adult, pneumonia"), LEARNT_FROM),
    Example(
        "refused/person67_bacteria_333-turned.jpeg",
        "bacterial",
        gettext_noop("Turned by 90 degrees"),
        REFUSED,
    ),
)
"""All of them; the first is right and clear, and is shown when the page opens."""


def example_films() -> list[Path]:
    """Return the paths of the bundled films, in the order of ``EXAMPLE_FILMS``."""
    return [example.path for example in EXAMPLE_FILMS]


def reference_of(path: Path) -> str:
    """Return the reference standard of an example."""
    return next(example.reference for example in EXAMPLE_FILMS if example.path == path)


def analyse_example(
    cascade: Cascade, path: Path, operating_point: str, prior: float | None = None, *, record: bool = True
) -> Analysis:
    """Ask the cascade about an example; its reference standard is shown beside the answer."""
    analysis = analyse(cascade, path, operating_point, prior, record=record)
    return replace(analysis, reference=reference_of(path))


def preview(path: Path, *, example: bool) -> str:
    """Return the film that *Analyze Image* would be given: its name, and of an example a small picture.

    An upload is decoded once, when it is analysed.
    """
    return piece("preview", path.name, _address(path, 96) if example else "")


def example_tiles(films: list[Path], chosen: int | None) -> str:
    """Return the example films by groups, with their reference standard, the chosen one marked.

    Parameters
    ----------
    films : list of Path
        From :func:`example_films`.
    chosen : int or None
        Index of the film that is marked.
    """
    numbered = list(zip(range(len(films)), EXAMPLE_FILMS, films, strict=True))
    groups = [
        (
            _(group),
            _(GROUPS[group]),
            [(index, _(each.label), _address(path, 120)) for index, each, path in members],
        )
        for group, members in groupby(numbered, key=lambda entry: entry[1].group)
    ]
    return piece("examples", groups, chosen)


@lru_cache(maxsize=32)
def _address(path: Path, height: int) -> str:
    return data_uri(film_picture(read_radiograph(path), height), "WEBP")
