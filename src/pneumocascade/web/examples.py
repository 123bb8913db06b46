"""The bundled example films as tiles to click, and the film that would be analysed, small."""

from __future__ import annotations

from html import escape
from importlib import resources
from pathlib import Path

from pneumocascade.web.analysis import thumbnail
from pneumocascade.web.fragments import data_uri


def example_films() -> list[Path]:
    """Return the bundled films, pneumonia first."""
    folder = Path(str(resources.files("pneumocascade") / "examples"))
    return sorted(folder.glob("*.jpeg"), reverse=True)


def preview(path: Path) -> str:
    """Return the film that *Analyze Image* would be given, small, with its name."""
    return (
        f'<div class="pc-preview">{_image(path, 96)}'
        f"<p><span>Film to analyse</span><b>{escape(path.name)}</b></p></div>"
    )


def example_tiles(films: list[Path]) -> str:
    """Return the example films with their reference standard."""
    tiles = "".join(
        f'<button type="button" class="pc-example" data-index="{index}" title="{escape(path.name)}" '
        f'aria-pressed="{"true" if index == 0 else "false"}">{_image(path, 120)}'
        f"<span>{'Bacterial' if 'bacteria' in path.name else 'Normal'}</span></button>"
        for index, path in enumerate(films)
    )
    return (
        f'<div class="pc-examples">{tiles}</div>'
        '<p class="pc-small">Click a film to analyse it. Below it stands its reference standard. '
        "Kermany et al. 2018, CC BY 4.0.</p>"
    )


def _image(path: Path, height: int) -> str:
    picture = thumbnail(path, height)
    return f'<img src="{data_uri(picture)}" alt="">' if picture is not None else ""
