"""Stored values: transfer syntaxes, depths, frames, and what contradicts itself."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, uid

from pneumocascade.errors import FilmError
from pneumocascade.imaging.dicom.frames import pixel_description_of, stored_values
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.dicom.quiet import quiet
from tests.imaging.dicom.encoders import LOSSLESS, LOSSY, codestream_of, encoded, with_codestreams
from tests.imaging.dicom.objects import DEEP, GREY, MAX_PIXELS, code_of, dataset, film_of, to_bytes
from tests.imaging.film_files import encode
from torture.monsters import scans_without_end

SHALLOW = ("JPEG baseline", "JPEG extended 8")
"""Transfer syntaxes of 8 bits."""


def values_of(data: bytes, index: int = 0) -> NDArray[np.int32]:
    item = read_object(io.BytesIO(data))
    with quiet():
        values, _, _ = stored_values(item, pixel_description_of(item, MAX_PIXELS), index)
    return values.astype(np.int32)


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("way", LOSSLESS)
def test_lossless_transfer_syntaxes_give_the_same_values(way: str, bits: int, tmp_path: Path) -> None:
    values = GREY if bits == 8 else DEEP
    assert np.array_equal(values_of(encoded(dataset(values, bits), way, tmp_path)), values)


@pytest.mark.parametrize("way", LOSSY)
def test_lossy_transfer_syntaxes_give_nearly_the_same(way: str, tmp_path: Path) -> None:
    values, bits = (GREY, 8) if way in SHALLOW else (DEEP, 12)
    found = values_of(encoded(dataset(values, bits), way, tmp_path))
    assert 0 < np.abs(found - values).max() <= 0.04 * 2**bits


@pytest.mark.parametrize("bits", range(9, 17))
@pytest.mark.parametrize("way", ["explicit", "RLE", "JPEG lossless 70", "JPEG-LS", "JPEG 2000", "HTJ2K"])
def test_every_depth_survives(way: str, bits: int, tmp_path: Path) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, (40, 48)).astype(np.uint16)
    assert np.array_equal(values_of(encoded(dataset(values, bits), way, tmp_path)), values)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("way", ["implicit", "big endian", "RLE", "JPEG lossless 70", "JPEG-LS", "JPEG 2000"])
def test_signed_values_survive(way: str, bits: int, tmp_path: Path) -> None:
    limit = 2 ** (bits - 1)
    values = np.random.default_rng(bits).integers(-limit, limit, (40, 48)).astype(np.int16)
    assert np.array_equal(values_of(encoded(dataset(values, bits), way, tmp_path)), values)


@pytest.mark.parametrize("signed", [False, True])
def test_bits_that_are_not_stored_are_left_out(signed: bool) -> None:
    """Older objects keep an overlay there."""
    values = DEEP.astype(np.int16) - (2048 if signed else 0)
    overlay = np.where(np.arange(64) % 3 == 0, 0x7000, 0).astype(np.uint16)
    dirty = (values.view(np.uint16) & 0x0FFF) | overlay
    item = dataset(dirty, 12, PixelRepresentation=int(signed))
    assert np.array_equal(values_of(to_bytes(item)), values)


def test_values_may_stand_in_the_upper_bits() -> None:
    item = dataset(DEEP << 4 | 5, 12, HighBit=15)
    assert np.array_equal(values_of(to_bytes(item)), DEEP)


@pytest.mark.parametrize("way", ["explicit", "RLE", "JPEG 2000"])
def test_each_frame_is_found(way: str, tmp_path: Path) -> None:
    frames = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]])
    data = encoded(dataset(frames), way, tmp_path)
    for index, frame in enumerate(frames):
        assert np.array_equal(values_of(data, index), frame)


def colour() -> NDArray[np.uint8]:
    return cv2.applyColorMap(GREY, cv2.COLORMAP_HOT)[..., ::-1].astype(np.uint8)


@pytest.mark.parametrize("way", ["explicit", "big endian", "RLE", "JPEG-LS", "JPEG 2000"])
def test_colour_is_red_green_blue(way: str, tmp_path: Path) -> None:
    assert np.array_equal(values_of(encoded(dataset(colour(), 8), way, tmp_path)), colour())


@pytest.mark.parametrize("photometric", ["YBR_FULL_422", "YBR_FULL"])
def test_jpeg_colour_is_turned_into_red_green_blue(photometric: str) -> None:
    codestream = encode(colour(), "JPEG", quality=98, subsampling=0)
    item = dataset(colour(), 8, PhotometricInterpretation=photometric)
    found = values_of(with_codestreams(item, uid.JPEGBaseline8Bit, codestream))
    assert np.abs(found - colour()).mean() < 3


def test_planes_one_behind_the_other() -> None:
    item = dataset(colour(), 8, PlanarConfiguration=1)
    item.PixelData = np.ascontiguousarray(colour().transpose(2, 0, 1)).tobytes()
    assert np.array_equal(values_of(to_bytes(item)), colour())


def without_pixels(**attributes: object) -> Dataset:
    return dataset(GREY, 8, PixelData=None, **attributes)


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"Rows": 0}, "unreadable_image"),
        ({"Columns": None}, "unreadable_image"),
        ({"Rows": GREY.shape[0] + 1}, "truncated_image"),
        ({"Rows": 60_000, "Columns": 60_000}, "too_many_pixels"),
        ({"NumberOfFrames": 2}, "truncated_image"),
        ({"BitsStored": 9}, "unreadable_image"),
        ({"BitsStored": 0}, "unreadable_image"),
        ({"BitsAllocated": 32, "BitsStored": 32}, "bad_dtype"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "bad_dtype"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "bad_dtype"),
        ({"SamplesPerPixel": 3}, "unreadable_image"),
        ({"SamplesPerPixel": 4, "PhotometricInterpretation": "RGB"}, "unreadable_image"),
        ({"PhotometricInterpretation": "CMYK"}, "unsupported_format"),
        ({"PhotometricInterpretation": None}, "unsupported_format"),
        ({"PixelData": None}, "truncated_image"),
    ],
)
def test_what_cannot_be_a_film_gets_a_code(attributes: dict[str, object], code: str) -> None:
    assert code_of(dataset(GREY, 8, **attributes)) == code


def test_floating_point_pixels_are_none() -> None:
    item = without_pixels()
    item.FloatPixelData = GREY.astype("<f4").tobytes()
    assert code_of(item) == "bad_dtype"


@pytest.mark.parametrize(
    "other", [b"1.2.840.10008.1.2.4.52", b"1.2.840.10008.1.2.4.92", b"1.2.840.99999.1.2.4.50"]
)
def test_a_transfer_syntax_that_is_not_read_is_said(other: bytes) -> None:
    data = with_codestreams(dataset(GREY, 8), uid.JPEGBaseline8Bit, b"\xff\xd8\xff\xd9")
    known = uid.JPEGBaseline8Bit.encode()
    changed = data.replace(known, other)
    assert changed != data
    assert code_of(changed) == "unsupported_transfer_syntax"


@pytest.mark.parametrize("way", [*LOSSLESS[5:], *LOSSY])
def test_a_codestream_of_another_size_is_not_decoded(way: str, tmp_path: Path) -> None:
    values, bits = (GREY, 8) if way in SHALLOW else (DEEP, 12)
    codestream = codestream_of(encoded(dataset(values, bits), way, tmp_path))
    item = dataset(values[:-1], bits)
    encoded_as = dataset(values, bits)
    syntax = _syntax(encoded(encoded_as, way, tmp_path))
    with pytest.raises(FilmError, match="the DICOM object says"):
        film_of(with_codestreams(item, syntax, codestream))


@pytest.mark.parametrize("way", [*LOSSLESS[4:], *LOSSY])
def test_a_codestream_that_was_cut_is_damaged(way: str, tmp_path: Path) -> None:
    """A decoder that fills the rest with grey would give a picture that nobody took."""
    values, bits = (GREY, 8) if way in SHALLOW else (DEEP, 12)
    data = encoded(dataset(values, bits), way, tmp_path)
    codestream, syntax = codestream_of(data), _syntax(data)
    for kept in (2, 20, 50, 100, len(codestream) // 2, len(codestream) - 60):
        cut = with_codestreams(dataset(values, bits), syntax, codestream[:kept])
        assert code_of(cut) in ("truncated_image", "unreadable_image")


def _syntax(data: bytes) -> uid.UID:
    return uid.UID(read_object(io.BytesIO(data), header_only=True).file_meta.TransferSyntaxUID)


def test_runs_that_would_burst_are_not_unrolled() -> None:
    bomb = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + b"\x81\0" * 100_000
    assert code_of(with_codestreams(dataset(GREY, 8), uid.RLELossless, bomb)) == "unreadable_image"


@pytest.mark.parametrize("way", ["JPEG baseline", "JPEG extended 8"])
def test_scans_without_end_are_not_decoded(way: str) -> None:
    syntax = uid.JPEGBaseline8Bit if way == "JPEG baseline" else uid.JPEGExtended12Bit
    item = dataset(GREY, 8)
    item.Rows = item.Columns = 64
    assert code_of(with_codestreams(item, syntax, scans_without_end(64, 20_000))) == "unreadable_image"


def test_colour_of_16_bits_takes_twice_the_room() -> None:
    """The memory that a film may take is that of the largest picture in colour of 8 bits."""
    for bits, needed in ((8, GREY.size), (16, 2 * GREY.size)):
        colour = np.stack([GREY] * 3, axis=2).astype(np.uint8 if bits == 8 else np.uint16)
        item = read_object(io.BytesIO(to_bytes(dataset(colour, bits))))
        assert pixel_description_of(item, needed).samples == 3
        with pytest.raises(FilmError) as caught:
            pixel_description_of(item, needed - 1)
        assert caught.value.code == "too_many_pixels"
