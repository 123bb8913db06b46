"""A study as it is handed over: a DICOMDIR, objects of many kinds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from pneumocascade.errors import FileAccessError, FilmError, UnreadableImageError
from pneumocascade.imaging.dicom.frames import NATIVE
from pneumocascade.imaging.dicom.objects import MAX_INFLATED, read_object
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.imaging.dicom.values import items_of, number_of, text_of, value_of, whole_of

_IMAGE_RECORD = "IMAGE"

_OF_A_FRAME = {"NumberOfFrames": 1, "Rows": 0, "Columns": 0, "SamplesPerPixel": 1, "BitsAllocated": 8}
"""What says how long frames are, and what is meant where it is not said."""

_FRAGMENT = 10
"""Least bytes of a compressed frame: an item's tag and length, and two bytes (DICOM PS3.5, A.4)."""

_META = 1024
"""Bytes at the beginning of an object in which its transfer syntax stands."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a DICOMDIR lists.

    Attributes
    ----------
    images : tuple of Path
        Of its image records, in its order; a file that is missing is among them, so that reading says so.
    outside : tuple of str
        File IDs of image records that lead out of the DICOMDIR's folder; they are not followed.
    others : int
        Records of reports, presentation states and other objects that are no images.
    """

    images: tuple[Path, ...]
    outside: tuple[str, ...]
    others: int


def files_of_dicomdir(path: Path | str) -> Listing:
    """Return the images that a DICOMDIR lists (DICOM PS3.3, F; PS3.10, 8).

    Parameters
    ----------
    path : path
        Of the file ``DICOMDIR``.

    Raises
    ------
    FileAccessError
        ``unreadable_file`` where it cannot be opened.
    UnreadableImageError
        ``unreadable_image`` where it is no DICOMDIR.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            dataset = read_object(stream)
    except OSError as error:
        raise FileAccessError(
            "unreadable_file", f"the DICOMDIR cannot be opened: {error.strerror}"
        ) from error
    try:
        with quiet():
            return _listed(dataset, path.parent)
    except FilmError:
        raise
    except Exception as error:  # noqa: BLE001  pydicom, and paths of damaged names, raise many kinds
        kind = type(error).__name__
        raise UnreadableImageError("unreadable_image", f"the DICOMDIR is damaged ({kind})") from None


def _listed(dataset: Dataset, folder: Path) -> Listing:
    if value_of(dataset, "DirectoryRecordSequence") is None:
        raise UnreadableImageError("unreadable_image", "the DICOM object is no DICOMDIR, or a damaged one")
    images: dict[Path, None] = {}  # in order, each once
    outside, others = [], 0
    for record in items_of(dataset, "DirectoryRecordSequence"):
        parts = _file_id(record)
        if not parts or number_of(record, "RecordInUseFlag") == 0:
            continue
        if text_of(record, "DirectoryRecordType") != _IMAGE_RECORD:
            others += 1
        elif (found := _inside(folder, parts)) is not None:
            images[found] = None
        else:
            outside.append("/".join(parts))
    return Listing(tuple(images), tuple(outside), others)


def _file_id(record: Dataset) -> list[str]:
    value = value_of(record, "ReferencedFileID")
    if isinstance(value, str):
        return [value] if value else []
    # A damaged one may be a number.
    whole = isinstance(value, Sequence) and not isinstance(value, bytes)
    return [str(part) for part in value] if whole else []


def _inside(folder: Path, parts: list[str]) -> Path | None:
    """Return the path of a file ID, ``None`` where it leads out of the folder, through a link perhaps."""
    if any(part in ("", ".", "..") or set(part) & set("/\\\0:") for part in parts):
        return None
    path = folder
    for part in parts:
        path = _spelt(path, part)
    return path if path.resolve().is_relative_to(folder.resolve()) else None


def _spelt(folder: Path, name: str) -> Path:
    """Return a file of a folder as it is spelt there: file IDs are in capitals, copies of them often not."""
    path = folder / name
    if path.exists() or not folder.is_dir():
        return path
    return next((each for each in folder.iterdir() if each.name.upper() == name.upper()), path)


def is_image_object(source: Path | str | bytes) -> bool:
    """Return whether a DICOM object holds a picture, without reading its pixels.

    Reports, presentation states, key objects, DICOMDIRs and the like do not. A damaged object counts as one
    that does: reading it then says what is wrong with it.

    Parameters
    ----------
    source : path or bytes
        Of a DICOM object: see :func:`pneumocascade.imaging.dicom.detect.is_dicom`. Bytes must reach to
        the pixels.

    Raises
    ------
    OSError
        Where the file cannot be opened.
    """
    try:
        if isinstance(source, bytes):
            dataset = read_object(io.BytesIO(source), header_only=True)
        else:
            with Path(source).open("rb") as stream:
                dataset = read_object(stream, header_only=True)
    except FilmError:
        return True
    if "Rows" in dataset or "Columns" in dataset:
        return True
    # What follows holds for a data set that was cut before it describes its picture.
    kind = UID(text_of(dataset, "SOPClassUID"))
    return "Image" in kind.name or (not kind and "DirectoryRecordSequence" not in dataset)


def count_frames(data: bytes) -> int:
    """Return how many frames an object says; 1 where so many cannot be in it, which reading it then says.

    Parameters
    ----------
    data : bytes
        The whole object.

    Raises
    ------
    UnreadableImageError
        ``unreadable_image`` where it is damaged, or the number is none.
    """
    dataset = read_object(io.BytesIO(data), header_only=True)
    try:
        frames, rows, columns, samples, bits = (
            whole_of(dataset, keyword, default) for keyword, default in _OF_A_FRAME.items()
        )
    except ValueError as error:
        raise UnreadableImageError(
            "unreadable_image", f"the DICOM object is damaged: {error} is no whole number"
        ) from None
    native = UID(str(dataset.file_meta.TransferSyntaxUID)) in NATIVE
    least = rows * columns * samples * bits // 8 if native else _FRAGMENT
    # Of a deflated object it is not known, until it is inflated, how long it is.
    deflated = DeflatedExplicitVRLittleEndian.encode() in data[:_META]
    return frames if frames * max(1, least) <= (MAX_INFLATED if deflated else len(data)) else 1
