"""DICOM objects drawn by code: digital radiographs, secondary captures, objects without pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, uid
from pydicom.sequence import Sequence

from pneumocascade.errors import FilmError
from pneumocascade.imaging.dicom.read import DicomFilm, read_dicom
from tests.conftest import draw_chest

MAX_PIXELS = 89_000_000

GREY = draw_chest(height=48, width=64)
DEEP = (GREY.astype(np.uint16) * 16 + np.arange(64, dtype=np.uint16) % 16).astype(np.uint16)
"""A picture of 12 bits that uses the lower ones, too."""

NAME = "Planted^Patient"


def dataset(values: NDArray[Any], bits: int = 12, **attributes: Any) -> Dataset:
    """Return a digital radiograph with the given stored values.

    Parameters
    ----------
    values : ndarray of integers, shape (H, W), (H, W, 3) or (F, H, W)
        Signed dtypes make signed objects.
    bits : int
        Stored.
    **attributes
        By keyword; ``None`` removes one.
    """
    allocated = 8 * values.dtype.itemsize
    colour = values.ndim == 3 and values.shape[-1] == 3
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    item.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    item.SOPInstanceUID = uid.generate_uid(entropy_srcs=["film"])
    item.StudyInstanceUID = uid.generate_uid(entropy_srcs=["study"])
    item.SeriesInstanceUID = uid.generate_uid(entropy_srcs=["series"])
    item.PatientName = NAME
    item.PatientID = "PLANTED-ID"
    item.Modality = "DX"
    item.PresentationIntentType = "FOR PRESENTATION"
    item.SamplesPerPixel = 3 if colour else 1
    item.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        item.PlanarConfiguration = 0
    if values.ndim == 3 and not colour:
        item.NumberOfFrames = values.shape[0]
    item.Rows, item.Columns = values.shape[-3:-1] if colour else values.shape[-2:]
    item.BitsAllocated, item.BitsStored, item.HighBit = allocated, bits, bits - 1
    item.PixelRepresentation = int(values.dtype.kind == "i")
    item.PixelData = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()
    item.PixelData += b"\0" * (len(item.PixelData) % 2)
    item["PixelData"].VR = "OW" if allocated == 16 else "OB"
    for keyword, value in attributes.items():
        if value is None:
            delattr(item, keyword)
        else:
            setattr(item, keyword, value)
    return item


def to_bytes(item: Dataset, syntax: uid.UID | None = None) -> bytes:
    """Return a data set as the bytes of a file, in another native transfer syntax where one is given."""
    if syntax is not None:
        item.file_meta.TransferSyntaxUID = syntax
    if syntax == uid.ExplicitVRBigEndian and item.get("BitsAllocated") == 16:
        item.PixelData = np.frombuffer(item.PixelData, "<u2").astype(">u2").tobytes()
    stream = io.BytesIO()
    item.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def film_of(item: Dataset | bytes, **options: Any) -> DicomFilm:
    return read_dicom(item if isinstance(item, bytes) else to_bytes(item), max_pixels=MAX_PIXELS, **options)


def code_of(item: Dataset | bytes, **options: Any) -> str:
    """Return the code of the error that reading an object raises, which says nothing of the patient."""
    with pytest.raises(FilmError) as caught:
        film_of(item, **options)
    assert caught.value.message == str(caught.value)
    assert len(caught.value.message) > 10
    assert NAME.split("^")[0] not in caught.value.message
    return caught.value.code


def table(first: int, entries: NDArray[Any], bits: int, *, word: bool = True) -> Dataset:
    """Return an item of a Modality or VOI LUT Sequence; entries in words, or in bytes."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [entries.size % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2" if word else np.uint8).tobytes())
    return item


def sequence(*items: Dataset) -> Sequence:
    return Sequence(items)


def as_eight_bit(film: DicomFilm) -> NDArray[np.int32]:
    """Return what a film shows in grey values of 0..255."""
    factor = 257 if film.pixels.dtype == np.uint16 else 1
    return np.asarray(np.round(film.pixels.astype(np.float64) / factor), np.int32)


def assert_shows(film: DicomFilm, expected: NDArray[Any], tolerance: int = 1) -> None:
    """Compare a film with the grey values 0..255 that it should show."""
    assert film.pixels.shape == expected.shape
    assert int(np.abs(as_eight_bit(film) - expected.astype(np.int32)).max()) <= tolerance


def report() -> Dataset:
    """Return a structured report: an object without pixels."""
    item = dataset(GREY, 8)
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(item, keyword)
    item.SOPClassUID = uid.BasicTextSRStorage
    item.Modality = "SR"
    return item
