"""What a study holds besides films: which of its files are films, by suffix or content."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pneumocascade.errors import FilmError
from pneumocascade.imaging.dicom.detect import is_dicom
from pneumocascade.imaging.files import read_member
from pneumocascade.imaging.read import SUFFIXES, content_of
from pneumocascade.imaging.signatures import HEAD, NOT_IMAGES, file_format
from pneumocascade.imaging.uris import heads_of

Kind = Literal["film", "other object", "other file", "linked folder", "unopened"]
"""A film; a DICOM object without a picture; what is no film; a link that is not followed; a file or folder
that cannot be opened."""

Found = tuple[str, Kind]

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
"""What has one of them and cannot be opened is reported as a film."""

_BEFORE_MOST_PIXELS = 1 << 16
"""Bytes of an object in a store or an archive that are read to know whether it is a picture; one that is cut
before it says so is known by its SOP class."""


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
        return "film" if path.suffix.lower() in DICOM_SUFFIXES else "unopened"


def kinds_at(uris: Sequence[str]) -> Iterator[Found]:
    """Yield what the files of a folder in a store are: by their suffix, else by their content."""
    unknown = [uri for uri in uris if PurePosixPath(uri).suffix.lower() not in SUFFIXES]
    kinds = dict(zip(unknown, map(_kind_at, unknown, heads_of(unknown, _BEFORE_MOST_PIXELS)), strict=True))
    yield from ((uri, kinds.get(uri, "film")) for uri in uris)


def _kind_at(uri: str, head: bytes | Exception) -> Kind:
    if isinstance(head, Exception):
        return "film" if PurePosixPath(uri).suffix.lower() in DICOM_SUFFIXES else "unopened"
    return _kind_of_content(head[:HEAD], lambda: head)


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
        return _kind_of_content(head, lambda: read_member(archive, member, _BEFORE_MOST_PIXELS))
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
    count = _count_frames(film)
    if count > 1:
        yield from (f"{film}#frame={number}" for number in range(1, count + 1))
    else:
        yield film


def _count_frames(film: str) -> int:
    try:
        data, frame = content_of(film)
        if frame is not None or not is_dicom(data):
            return 1
        from pneumocascade.imaging.dicom.dicomdir import count_frames

        return count_frames(data)
    except FilmError:  # reading it as a film says what is wrong with it
        return 1
