"""From the files of a request to films: a zip archive stands for the films in it."""

from __future__ import annotations

import zipfile
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pneumocascade.errors import FileAccessError
from pneumocascade.imaging.files import read_member
from pneumocascade.imaging.studies import kinds_in
from pneumocascade.server.queue import QueuedFilm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import UploadFile


class Uploads(NamedTuple):
    """What a request holds.

    Attributes
    ----------
    films : list of QueuedFilm
    left_out : int
        DICOM objects in archives that hold no picture.
    """

    films: list[QueuedFilm]
    left_out: int


def films_of(files: Sequence[UploadFile], most: int) -> Uploads:
    """Return the films of uploaded files, in order; archives are read no further than is asked for.

    Parameters
    ----------
    files : sequence of UploadFile
    most : int
        Films after which the rest is not read: there are too many.
    """
    films: list[QueuedFilm] = []
    left_out = 0
    for number, file in enumerate(files, start=1):
        name = file.filename or f"file {number}"
        found, others = _in_archive(file, name, most - len(films)) if _is_archive(file) else ([], 0)
        films += found or [QueuedFilm(name, partial(_content, file))]
        left_out += others
    return Uploads(films, left_out)


def _is_archive(file: UploadFile) -> bool:
    file.file.seek(0)
    return file.file.read(4) == b"PK\x03\x04"


def _in_archive(file: UploadFile, name: str, most: int) -> tuple[list[QueuedFilm], int]:
    films: list[QueuedFilm] = []
    left_out = 0
    if not hasattr(file.file, "seekable"):  # before Python 3.11, and zipfile asks for it
        file.file.seekable = lambda: True  # type: ignore[method-assign]
    try:
        archive = zipfile.ZipFile(file.file)
        for member, kind in kinds_in(archive):
            if kind == "film":
                films.append(QueuedFilm(f"{name}/{member.filename}", partial(_member, file, archive, member)))
            left_out += kind == "other object"
            if len(films) > most:
                break
    except Exception:  # noqa: BLE001  zipfile raises many kinds; judging it as a film says that it is none
        return [], 0
    return films, left_out


def _member(file: UploadFile, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return read_member(archive, member)
    except FileAccessError as error:
        if file.file.closed:  # whoever sent it waits no longer: nothing is wrong with the film
            raise ValueError("the upload was closed before it was read") from error
        raise


def _content(file: UploadFile) -> bytes:
    file.file.seek(0)
    return file.file.read()
