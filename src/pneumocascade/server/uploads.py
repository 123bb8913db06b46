"""From the files of a request to films: a zip archive stands for the films in it."""

from __future__ import annotations

import struct
import zipfile
from functools import partial
from typing import IO, TYPE_CHECKING, NamedTuple

from starlette.exceptions import HTTPException

from pneumocascade.errors import FileAccessError
from pneumocascade.imaging.files import read_member
from pneumocascade.imaging.studies import kinds_in
from pneumocascade.server.queue import QueuedFilm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import UploadFile


MAX_DIRECTORY_BYTES = 1 << 21
"""Of the central directories of all archives of a request: each entry takes time and memory."""

MAX_OTHER_OBJECTS = 200
"""DICOM objects without a picture in all archives of a request: to know one, its header is parsed."""

_END = b"PK\x05\x06"
_END_BYTES, _LONGEST_COMMENT, _IN_OTHER_RECORD = 22, 0xFFFF, 0xFFFFFFFF
_LOCATOR, _END64 = struct.Struct("<4xLQL"), struct.Struct("<4s36xQ8x")
"""Records at the end of an archive (APPNOTE.TXT, 4.3.14 to 4.3.16): an offset and a size in them."""


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

    Raises
    ------
    HTTPException
        Status 413 where archives hold more entries or objects without a picture than are looked at.
    """
    films: list[QueuedFilm] = []
    left_out = directories = 0
    for number, file in enumerate(files, start=1):
        name = file.filename or f"file {number}"
        found: list[QueuedFilm] = []
        if _is_archive(file):
            directories += _directory_bytes(file.file)
            if directories > MAX_DIRECTORY_BYTES:
                raise HTTPException(413, "there are more entries in archives than are looked at")
            found, others = _in_archive(file, name, most - len(films), MAX_OTHER_OBJECTS - left_out)
            left_out += others
            if left_out > MAX_OTHER_OBJECTS:
                what = f"more than {MAX_OTHER_OBJECTS} DICOM objects without a picture"
                raise HTTPException(413, f"there are {what} in archives")
        films += found or [QueuedFilm(name, partial(_content, file))]
    return Uploads(films, left_out)


def _is_archive(file: UploadFile) -> bool:
    file.file.seek(0)
    return file.file.read(4) == b"PK\x03\x04"


def _directory_bytes(file: IO[bytes]) -> int:
    """Return how large the central directory of an archive is by what stands at its end.

    It is the size that ``zipfile`` reads, or more: of two records that may say it, the larger one.
    """
    file.seek(0, 2)
    size = file.tell()
    start = max(0, size - _LONGEST_COMMENT - _END_BYTES - _LOCATOR.size)
    file.seek(start)
    tail = file.read()
    end = len(tail) - _END_BYTES
    if not (tail.startswith(_END, max(0, end)) and tail.endswith(b"\0\0")):  # there is a comment
        end = tail.rfind(_END)
    if end < 0:
        return 0
    largest = int.from_bytes(tail[end + 12 : end + 16], "little")
    if largest == _IN_OTHER_RECORD:
        largest = 0
    locator = end - _LOCATOR.size
    if locator < 0 or not tail.startswith(b"PK\x06\x07", locator):
        return largest
    _, offset, _ = _LOCATOR.unpack_from(tail, locator)
    for position in (offset, start + locator - _END64.size):
        if 0 <= position <= size - _END64.size:
            file.seek(position)
            signature, found = _END64.unpack(file.read(_END64.size))
            if signature == b"PK\x06\x06":
                largest = max(largest, found)
    return largest


def _in_archive(file: UploadFile, name: str, most: int, most_others: int) -> tuple[list[QueuedFilm], int]:
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
            if len(films) > most or left_out > most_others:
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
