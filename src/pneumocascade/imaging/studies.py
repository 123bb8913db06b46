"""What a study holds besides films: which of its files are films, by suffix or content."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from pneumocascade.errors import FilmError
from pneumocascade.imaging.dicom.detect import is_dicom
from pneumocascade.imaging.files import bytes_of, read_member
from pneumocascade.imaging.read import SUFFIXES
from pneumocascade.imaging.signatures import HEAD, NOT_IMAGES, file_format
from pneumocascade.imaging.uris import is_uri

Kind = Literal["film", "other object", "other file", "linked folder", "unopened"]
"""A film; a DICOM object without a picture; what is no film; a link that is not followed; a file or folder
that cannot be opened."""

Found = tuple[str, Kind]

_BEFORE_PIXELS = 1 << 20
"""Bytes of a member in which the description of its picture stands, if it has one."""


def kind_of(path: Path) -> Kind:
    """Return what a file of a folder is: by its suffix, else by its content."""
    if path.suffix.lower() in SUFFIXES:
        return "film"
    try:
        if not path.is_file():  # a pipe would never end
            return "other file"
        with path.open("rb") as stream:
            head = stream.read(HEAD)
        return _kind_of_content(head, lambda: path)
    except OSError:
        return "film" if path.suffix.lower() in (".dcm", ".dicom") else "unopened"


def _kind_of_content(head: bytes, more: Callable[[], Path | bytes]) -> Kind:
    """Return what a file is by how it begins; of a DICOM object more is asked for."""
    kind = file_format(head)
    if kind != "DICOM":
        return "other file" if kind is None or kind in NOT_IMAGES else "film"
    from pneumocascade.imaging.dicom.dicomdir import is_image_object  # pydicom takes a while to load

    return "film" if is_image_object(more()) else "other object"


def members_of(archive: str) -> Iterator[Found]:
    """Yield what is in a zip archive, as paths that lead into it; the archive itself where it is damaged."""
    try:
        with zipfile.ZipFile(archive) as opened:
            yield from ((f"{archive}/{member.filename}", kind) for member, kind in kinds_in(opened))
    except Exception:  # noqa: BLE001  zipfile raises many kinds; reading it as a film says that it is none
        yield archive, "film"


def kinds_in(archive: zipfile.ZipFile) -> Iterator[tuple[zipfile.ZipInfo, Kind]]:
    """Yield the files of an archive, each with what it is."""
    for member in archive.infolist():
        if not member.is_dir():
            yield member, _kind_of_member(archive, member)


def _kind_of_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Kind:
    if PurePosixPath(member.filename).suffix.lower() in SUFFIXES:
        return "film"
    try:
        head = read_member(archive, member, HEAD)
        return _kind_of_content(head, lambda: read_member(archive, member, _BEFORE_PIXELS))
    except Exception:  # noqa: BLE001  zipfile raises many kinds; reading it as a film says what is wrong
        return "film"


def listed_in(dicomdir: str) -> Iterator[Found]:
    """Yield what a DICOMDIR lists; the file itself where it is damaged."""
    from pneumocascade.imaging.dicom.dicomdir import files_of_dicomdir

    try:
        listing = files_of_dicomdir(dicomdir)
    except FilmError:  # reading it as a film says what is wrong with it
        yield dicomdir, "film"
        return
    yield from ((str(path), "film") for path in listing.images)
    yield from ((f"{dicomdir}: {name}", "other object") for name in listing.outside)
    yield from ((f"{dicomdir}: record {number + 1}", "other object") for number in range(listing.others))


def frames_of(film: str) -> Iterator[str]:
    """Yield a name for each frame of a DICOM object; the film itself where it has no more than one."""
    count = 0 if is_uri(film) else _count_frames(film)
    if count > 1:
        yield from (f"{film}#frame={number}" for number in range(1, count + 1))
    else:
        yield film


def _count_frames(film: str) -> int:
    try:
        data = bytes_of(film, "a folder")
        if not is_dicom(data):
            return 1
        from pneumocascade.imaging.dicom.dicomdir import count_frames

        return count_frames(data)
    except FilmError:  # reading it as a film says what is wrong with it
        return 1
