"""Objects that contradict their own pixels, or leave out what has a default, are read as they are meant."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset, dcmread, uid

from pneumocascade import read_radiograph
from pneumocascade.errors import UnreadableImageError
from pneumocascade.imaging.dicom.frames import COMPRESSED_AFTER_ALL, NATIVE_AFTER_ALL
from pneumocascade.imaging.dicom.pixels import LATER_WINDOW
from pneumocascade.imaging.dicom.quiet import quiet
from tests.imaging.dicom.encoders import codestream_of, encoded, with_codestreams
from tests.imaging.dicom.objects import (
    DEEP,
    GREY,
    as_eight_bit,
    assert_shows,
    code_of,
    dataset,
    film_of,
    sequence,
    table,
    to_bytes,
)
from tests.imaging.film_files import encode

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}


@pytest.mark.parametrize("behind", [b" ", b" \0 ", b"\0" * 40, b"left over\xff\xd9", b"\xff\xff"])
@pytest.mark.parametrize("way", ["JPEG baseline", "JPEG lossless 70", "JPEG-LS", "JPEG 2000"])
def test_anything_may_stand_behind_the_end_of_the_image(way: str, behind: bytes, tmp_path: Path) -> None:
    values, bits = (GREY, 8) if way == "JPEG baseline" else (DEEP, 12)
    data = encoded(dataset(values, bits, **(WINDOW if bits == 12 else {})), way, tmp_path)
    expected = film_of(data)
    item = dataset(values, bits, **(WINDOW if bits == 12 else {}))
    syntax = uid.UID(
        {
            "JPEG baseline": uid.JPEGBaseline8Bit,
            "JPEG lossless 70": uid.JPEGLosslessSV1,
            "JPEG-LS": uid.JPEGLSLossless,
            "JPEG 2000": uid.JPEG2000Lossless,
        }[way]
    )
    codestream = codestream_of(data)
    film = film_of(with_codestreams(item, syntax, codestream + behind))
    assert np.array_equal(film.pixels, expected.pixels)
    assert film.warnings == expected.warnings
    assert code_of(with_codestreams(item, syntax, codestream[: len(codestream) // 2])) == "truncated_image"


def test_the_second_of_two_frames_with_something_behind_each() -> None:
    codestreams = [encode(picture, "JPEG", quality=97) + b" left over " for picture in (GREY, 255 - GREY)]
    data = with_codestreams(dataset(np.stack([GREY, GREY]), 8), uid.JPEGBaseline8Bit, *codestreams)
    assert_shows(film_of(data, frame=2), 255 - GREY, tolerance=8)


@pytest.mark.parametrize("syntax", [uid.JPEGLosslessSV1, uid.JPEG2000Lossless, uid.RLELossless])
def test_native_pixels_under_a_compressed_transfer_syntax(syntax: uid.UID) -> None:
    item = dataset(DEEP, **WINDOW)
    expected = film_of(item)
    film = film_of(says(to_bytes(item), syntax))
    assert np.array_equal(film.pixels, expected.pixels)
    assert film.warnings == (NATIVE_AFTER_ALL,)


def says(data: bytes, syntax: str) -> bytes:
    """Return an object whose file meta information says another transfer syntax."""
    at = data.index(b"\x02\x00\x10\x00UI") + 6
    old = int.from_bytes(data[at : at + 2], "little")
    new = syntax.encode() + b"\0" * (len(syntax) % 2)
    changed = bytearray(data[:at] + len(new).to_bytes(2, "little") + new + data[at + 2 + old :])
    group = changed.index(b"\x02\x00\x00\x00UL\x04\x00") + 8
    size = int.from_bytes(changed[group : group + 4], "little") + len(new) - old
    changed[group : group + 4] = size.to_bytes(4, "little")
    return bytes(changed)


@pytest.mark.parametrize("way", ["JPEG baseline", "JPEG lossless 70", "JPEG-LS", "JPEG 2000"])
def test_compressed_pixels_under_a_native_transfer_syntax(way: str, tmp_path: Path) -> None:
    values = np.tile(GREY, (4, 4)) if way == "JPEG baseline" else np.tile(DEEP, (4, 4))
    bits = 8 if way == "JPEG baseline" else 12
    extra = WINDOW if bits == 12 else {}
    data = encoded(dataset(values, bits, **extra), way, tmp_path)
    expected = film_of(data)
    film = film_of(says(data, uid.ExplicitVRLittleEndian))
    assert np.array_equal(film.pixels, expected.pixels)
    assert film.warnings == (COMPRESSED_AFTER_ALL,)


@pytest.mark.parametrize(
    "keyword", ["SamplesPerPixel", "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames"]
)
@pytest.mark.parametrize("way", ["explicit", "RLE", "JPEG-LS"])
def test_what_is_missing_has_its_default(keyword: str, way: str, tmp_path: Path) -> None:
    values = (DEEP * 16).astype(np.uint16)
    window = {"WindowCenter": 32768, "WindowWidth": 65536}
    expected = film_of(encoded(dataset(values, 16, **window), way, tmp_path))
    item = dataset(values, 16, **window)
    data = encoded(item, way, tmp_path)
    if keyword in item:
        again = dcmread(io.BytesIO(data))
        delattr(again, keyword)
        data = to_bytes(again)
    film = film_of(data)
    assert np.array_equal(film.pixels, expected.pixels)


def test_a_jpeg_of_8_bits_that_is_said_to_have_12_of_16() -> None:
    item = dataset(GREY, 8)
    item.BitsAllocated, item.BitsStored, item.HighBit = 16, 12, 11
    film = film_of(with_codestreams(item, uid.JPEGBaseline8Bit, encode(GREY, "JPEG", quality=97)))
    assert film.pixels.dtype == np.uint8
    assert_shows(film, GREY, tolerance=8)


@pytest.mark.parametrize("number", [110, 111, 112])
@pytest.mark.parametrize("bits", [8, 12])
def test_jpeg_xl(number: int, bits: int) -> None:
    values, extra = (GREY, {}) if bits == 8 else (DEEP, WINDOW)
    lossless = bytes(imagecodecs.jpegxl_encode(values, lossless=True))

    def made_of(codestream: bytes) -> bytes:
        item = dataset(values, bits, **extra)
        return says(with_codestreams(item, uid.JPEG2000, codestream), f"1.2.840.10008.1.2.4.{number}")

    film = film_of(made_of(lossless))
    assert np.array_equal(film.pixels, film_of(dataset(values, bits, **extra)).pixels)
    assert code_of(made_of(lossless[: len(lossless) // 3])) == "unreadable_image"
    assert code_of(made_of(bytes(imagecodecs.jpegxl_encode(values[:20])))) == "unreadable_image"


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("bits", [8, 16])
def test_palettes_in_either_byte_order(syntax: uid.UID, bits: int) -> None:
    item = dataset(GREY, 8, PhotometricInterpretation="PALETTE COLOR")
    entries = (np.arange(256) * (257 if bits == 16 else 1)).astype("<u2")
    for colour in ("Red", "Green", "Blue"):
        item.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [256, 0, bits])
        stored = entries if syntax == uid.ExplicitVRLittleEndian else entries.byteswap()
        item.add_new(f"{colour}PaletteColorLookupTableData", "OW", stored.tobytes())
    film = film_of(to_bytes(item, syntax))
    expected = np.repeat(GREY[..., None], 3, axis=2)
    assert np.abs(film.pixels.astype(int) - expected).max() <= 1


def test_the_first_window_that_shows_something_is_taken() -> None:
    two = film_of(dataset(DEEP, WindowCenter=[1, 2048], WindowWidth=[1, 4096]))
    assert np.array_equal(two.pixels, film_of(dataset(DEEP, **WINDOW)).pixels)
    assert two.warnings == (LATER_WINDOW,)


@pytest.mark.parametrize("uses", [8, 10, 12, 13, 14, 15, 16])
def test_a_look_up_table_of_fewer_bits_than_it_says_is_scaled(uses: int) -> None:
    entries = np.round(np.linspace(0, 2**uses - 1, 4096))
    film = film_of(dataset(DEEP, VOILUTSequence=sequence(table(0, entries, 16))))
    assert np.abs(as_eight_bit(film) - np.round(DEEP * (255 / 4095))).max() <= 1
    assert [f"says 16 bits and uses {uses}" in warning for warning in film.warnings] == (
        [True] if uses < 16 else []
    )


def test_an_empty_look_up_table_leaves_a_film_of_8_bits_as_it_is() -> None:
    item = dataset(GREY, 8, VOILUTSequence=sequence(Dataset()))
    film = film_of(item)
    assert np.array_equal(film.pixels, film_of(dataset(GREY, 8)).pixels)
    assert film.warnings == ()
    assert cv2.countNonZero(film.pixels)


@pytest.mark.parametrize("way", ["explicit", "implicit", "big endian", "RLE", "JPEG-LS"])
def test_a_data_set_is_read_as_its_file_is(way: str, tmp_path: Path) -> None:
    data = encoded(dataset(DEEP, PhotometricInterpretation="MONOCHROME1", **WINDOW), way, tmp_path)
    item = dcmread(io.BytesIO(data))
    before = copy.deepcopy(item)
    film, expected = read_radiograph(item), read_radiograph(data)
    assert item == before
    assert np.array_equal(film.pixels, expected.pixels)
    assert film.warnings == expected.warnings
    assert film.acquisition == expected.acquisition
    assert film.source == "DICOM data set"


def test_a_data_set_without_file_meta_information_is_read() -> None:
    item = dataset(DEEP, **WINDOW)
    expected = film_of(item)
    again = dcmread(io.BytesIO(to_bytes(item, uid.ImplicitVRLittleEndian)))
    del again.file_meta
    assert np.array_equal(read_radiograph(again).pixels, expected.pixels)


def test_a_data_set_that_cannot_be_written_is_unreadable() -> None:
    item = dataset(DEEP)
    with quiet():
        item.Rows = "many"
    with pytest.raises(UnreadableImageError, match="cannot be encoded"):
        read_radiograph(item)
