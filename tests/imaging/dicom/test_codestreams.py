"""What compressed frames say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pytest

from pneumocascade.imaging.dicom.codestreams import (
    MAX_SCANS,
    MAX_SEGMENTS,
    Size,
    end_of_jpeg,
    is_endless,
    is_whole_jpeg2000,
    jpeg2000_size,
    jpeg_marker,
    jpeg_size,
    jpeg_xl_size,
)
from tests.imaging.dicom.encoders import codestream_of, encoded
from tests.imaging.dicom.objects import DEEP, GREY, dataset
from tests.imaging.film_files import encode
from torture.monsters import scans_without_end
from torture.writers import with_segments

ROWS, COLUMNS = GREY.shape


@pytest.mark.parametrize("way", ["JPEG lossless 57", "JPEG lossless 70", "JPEG extended 12", "JPEG-LS"])
def test_the_jpegs_of_twelve_bits(way: str, tmp_path: Path) -> None:
    codestream = codestream_of(encoded(dataset(DEEP), way, tmp_path))
    size = jpeg_size(codestream)
    assert size is not None
    assert size[:3] == (ROWS, COLUMNS, 1)
    assert size.bits == (16 if "lossless" in way else 12)  # as dcmtk writes it
    end = end_of_jpeg(codestream)
    assert end is not None
    assert codestream[end - 2 : end] == b"\xff\xd9"
    assert not codestream[end:].strip(b"\0")
    assert end_of_jpeg(codestream + b" left over\xff\xd9") == end
    assert end_of_jpeg(codestream[: len(codestream) // 2]) is None


@pytest.mark.parametrize("way", ["JPEG 2000", "JPEG 2000 lossy", "HTJ2K", "HTJ2K lossy"])
def test_jpeg_2000(way: str, tmp_path: Path) -> None:
    codestream = codestream_of(encoded(dataset(DEEP), way, tmp_path))
    assert jpeg2000_size(codestream) == Size(ROWS, COLUMNS, 1, 12)
    assert is_whole_jpeg2000(codestream + b"left over")
    assert not is_whole_jpeg2000(codestream[: len(codestream) // 2])


def test_pictures_with_headers_before_the_frame() -> None:
    colour = cv2.applyColorMap(GREY, cv2.COLORMAP_HOT)
    assert jpeg_size(encode(colour, "JPEG", progressive=True)) == Size(ROWS, COLUMNS, 3, 8)
    assert jpeg_size(encode(GREY, "JPEG", comment=b"x" * 3000)) == Size(ROWS, COLUMNS, 1, 8)
    assert jpeg2000_size(encode(colour, "JPEG2000")) == Size(ROWS, COLUMNS, 3, 8)


def test_the_end_is_found_behind_a_thumbnail_and_many_scans() -> None:
    thumbnail = encode(GREY[::4, ::4], "JPEG")
    film = encode(GREY, "JPEG", progressive=True)
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = film[:2] + segment + film[2:]
    assert end_of_jpeg(data + b"\0 \xff") == len(data)
    assert jpeg_marker(film) == 0xC2
    assert jpeg_marker(encode(GREY, "JPEG")) == 0xC0


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("shape", [(40, 64), (40, 40), (300, 401), (512, 256), (64, 2000)])
def test_jpeg_xl(shape: tuple[int, int], container: bool) -> None:
    picture = np.resize(GREY, shape)
    data = bytes(imagecodecs.jpegxl_encode(picture, usecontainer=container))
    size = jpeg_xl_size(data)
    assert size is not None
    assert size[:2] == shape


@pytest.mark.parametrize("size", [jpeg_size, jpeg2000_size, jpeg_xl_size])
@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff\x4f\xff\x51", bytes(99)]
)
def test_what_is_cut_says_nothing(size: Callable[[bytes], Size | None], data: bytes) -> None:
    assert size(data) is None


@pytest.mark.parametrize(("scans", "endless"), [(MAX_SCANS - 1, False), (MAX_SCANS, True), (20_000, True)])
def test_a_picture_of_too_many_scans_is_known_before_it_is_decoded(scans: int, endless: bool) -> None:
    assert is_endless(scans_without_end(64, scans)) == endless  # one scan comes before them


def test_a_picture_of_too_many_segments_is_known_before_it_is_decoded() -> None:
    whole = encode(GREY, "JPEG")
    own = whole[: whole.index(b"\xff\xda")].count(b"\xff")
    sound = with_segments(whole, *[(0xE2, b"profile")] * (MAX_SEGMENTS - own))
    assert not is_endless(sound)
    assert is_endless(with_segments(whole, *[(0xE2, b"profile")] * (MAX_SEGMENTS + 1)))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_films_end(options: dict[str, int]) -> None:
    assert not is_endless(encode(GREY, "JPEG", **options))


def test_scans_within_a_segment_are_not_counted() -> None:
    """A preview or a colour profile may hold the marker's two bytes."""
    assert not is_endless(with_segments(encode(GREY, "JPEG"), (0xE1, b"\xff\xda" * 1000)))
    assert not is_endless(b"")
    assert not is_endless(b"\xff\xd8\xff")
