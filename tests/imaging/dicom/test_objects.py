"""From bytes to a data set."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from pydicom import Dataset, uid

from pneumocascade.errors import UnreadableImageError
from pneumocascade.imaging.dicom.objects import read_object
from tests.imaging.dicom.objects import GREY, code_of, dataset, film_of, to_bytes


def read(data: bytes, **options: int) -> Dataset:
    return read_object(io.BytesIO(data), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian])
def test_a_header_is_read_without_the_pixels(syntax: uid.UID) -> None:
    header = read(to_bytes(dataset(GREY, 8), syntax), header_only=True)
    assert "PixelData" not in header
    assert (header.Rows, header.Columns) == GREY.shape


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian]
)
def test_a_transfer_syntax_that_is_not_said_is_found_out(syntax: uid.UID) -> None:
    data = to_bytes(dataset(GREY, 8), syntax)
    length = int.from_bytes(data[140:144], "little")
    item = read(data[:132] + data[144 + length :])
    assert item.file_meta.TransferSyntaxUID == syntax


def test_a_deflated_object_does_not_burst() -> None:
    whole = to_bytes(dataset(np.zeros((2000, 2000), np.uint16), 12), uid.DeflatedExplicitVRLittleEndian)
    assert len(whole) < 20_000
    assert read(whole, limit=9_000_000).Rows == 2000
    with pytest.raises(UnreadableImageError, match="more than 1000000 bytes"):
        read(whole, limit=1_000_000)


def test_a_deflated_object_that_is_cut_is_no_picture() -> None:
    whole = to_bytes(dataset(GREY, 8), uid.DeflatedExplicitVRLittleEndian)
    assert code_of(whole[: len(whole) // 2]) == "truncated_image"
    assert code_of(whole[:400]) in ("truncated_image", "unreadable_image", "no_pixels")


def test_deflated_bytes_that_are_none() -> None:
    whole = to_bytes(dataset(GREY, 8), uid.DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(whole[140:144], "little")
    assert zlib.decompress(whole[start:], -15)
    assert code_of(whole[:start] + bytes([255]) * 200) == "unreadable_image"


def test_other_bytes_are_no_object() -> None:
    for data in (b"", b"nonsense", bytes(500)):
        assert code_of(data) == "unreadable_image"
    assert code_of(bytes(128) + b"DICM") == "no_pixels"


def test_the_errors_text_is_not_that_of_pydicom() -> None:
    data = to_bytes(dataset(GREY, 8))
    at = data.index(b"Planted^Patient") - 2
    odd = data[:at] + b"\xff\xff" + data[at + 2 :]  # the name is longer than the file
    assert code_of(odd) in ("unreadable_image", "truncated_image", "no_pixels")


def test_film_and_header_agree() -> None:
    data = to_bytes(dataset(GREY, 8))
    assert film_of(data).acquisition.sop_instance_uid == read(data).SOPInstanceUID
