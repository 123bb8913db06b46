"""The bundled example films as tiles to click, and the film that would be analysed, small."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from pneumocascade.explain.html import data_uri
from pneumocascade.explain.pictures import film_picture
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.web.analysis import Analysis, analyse
from pneumocascade.web.fragments import piece

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade


def example_films() -> list[Path]:
    """Return the bundled films, pneumonia first."""
    folder = Path(str(resources.files("pneumocascade") / "examples"))
    return sorted(folder.glob("*.jpeg"), reverse=True)


def reference_of(path: Path) -> str:
    """Return an example's reference standard: ``"bacterial"`` or ``"normal"``."""
    return "bacterial" if "bacteria" in path.name else "normal"


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
    """Return the example films with their reference standard, the chosen one marked."""
    tiles = [(path.name, reference_of(path), _address(path, 120)) for path in films]
    return piece("examples", tiles, chosen)


@lru_cache(maxsize=32)
def _address(path: Path, height: int) -> str:
    return data_uri(film_picture(read_radiograph(path), height), "WEBP")
