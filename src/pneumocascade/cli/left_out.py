"""What ``predict`` finds besides films: counted and named on standard error, listed in a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from pneumocascade.errors import UsageError
from pneumocascade.types import encodable

if TYPE_CHECKING:
    from pneumocascade.imaging.studies import Found, Kind

MAX_NAMED = 5
"""Names that are printed of each kind."""

_SAID: dict[Kind, tuple[str, str]] = {
    "other object": ("DICOM object has no picture", "DICOM objects have no picture"),
    "other file": ("file is no film", "files are no films"),
    "linked folder": ("link to a folder is not followed", "links to folders are not followed"),
    "unopened": ("file or folder could not be opened", "files or folders could not be opened"),
}
"""What is said of each kind: of one, of several."""


def say_left_out(left_out: Sequence[Found]) -> None:
    """Count and name on standard error what is no film."""
    counted = Counter(kind for _, kind in left_out)
    for kind, text in _SAID.items():
        if count := counted[kind]:
            names = [name for name, each in left_out if each == kind][:MAX_NAMED]
            more = f" and {count - len(names)} more" if count > len(names) else ""
            typer.echo(f"{count} {text[count > 1]}: {', '.join(map(encodable, names))}{more}", err=True)


def may_miss_films(left_out: Sequence[Found]) -> bool:
    """Return whether there may be films in what could not be opened."""
    return any(kind == "unopened" for _, kind in left_out)


def write_left_out(file: Path, left_out: Sequence[Found]) -> None:
    """Write all of it as a JSON list of ``{"path": ..., "kind": ...}``; an empty list where all were films.

    Kinds: ``other_object``, ``other_file``, ``linked_folder``, ``unopened``.

    Raises
    ------
    UsageError
        Where the file cannot be written.
    """
    rows = [{"path": name, "kind": kind.replace(" ", "_")} for name, kind in left_out]
    text = encodable(json.dumps(rows, ensure_ascii=False, indent=1)) + "\n"
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--left-out {file} cannot be written: {error.strerror}") from error
