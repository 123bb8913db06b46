"""What compressed frames say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from pneumocascade.dicom.codestreams import Size, is_whole, jpeg2000_size, jpeg_size
from tests.dicom.encoders import codestream_of, encoded
from tests.dicom.objects import DEEP, GREY, dataset
from tests.film_files import encode

ROWS, COLUMNS = GREY.shape


@pytest.mark.parametrize("way", ["JPEG lossless 57", "JPEG lossless 70", "JPEG extended 12", "JPEG-LS"])
def test_the_jpegs_of_twelve_bits(way: str, tmp_path: Path) -> None:
    codestream = codestream_of(encoded(dataset(DEEP), way, tmp_path))
    size = jpeg_size(codestream)
    assert size is not None
    assert size[:3] == (ROWS, COLUMNS, 1)
    assert size.bits == (16 if "lossless" in way else 12)  # as dcmtk writes it
    assert is_whole(codestream)
    assert not is_whole(codestream[: len(codestream) // 2])


@pytest.mark.parametrize("way", ["JPEG 2000", "JPEG 2000 lossy", "HTJ2K", "HTJ2K lossy"])
def test_jpeg_2000(way: str, tmp_path: Path) -> None:
    codestream = codestream_of(encoded(dataset(DEEP), way, tmp_path))
    assert jpeg2000_size(codestream) == Size(ROWS, COLUMNS, 1, 12)
    assert is_whole(codestream)


def test_pictures_with_headers_before_the_frame() -> None:
    colour = cv2.applyColorMap(GREY, cv2.COLORMAP_HOT)
    assert jpeg_size(encode(colour, "JPEG", progressive=True)) == Size(ROWS, COLUMNS, 3, 8)
    assert jpeg_size(encode(GREY, "JPEG", comment=b"x" * 3000)) == Size(ROWS, COLUMNS, 1, 8)
    assert jpeg2000_size(encode(colour, "JPEG2000")) == Size(ROWS, COLUMNS, 3, 8)


@pytest.mark.parametrize("size", [jpeg_size, jpeg2000_size])
@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff\x4f\xff\x51", bytes(99)]
)
def test_what_is_cut_says_nothing(size: Callable[[bytes], Size | None], data: bytes) -> None:
    assert size(data) is None
