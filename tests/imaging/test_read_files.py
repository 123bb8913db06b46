"""Paths, names, and files that are missing, damaged, or more than a film."""

from __future__ import annotations

import os
import random
import re
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from pneumocascade import FilmError, Radiograph, errors, read_radiograph
from pneumocascade.errors import FileAccessError, UnsuitableImageError
from pneumocascade.imaging.dicom.detect import is_dicom
from pneumocascade.imaging.files import MAX_BYTES
from pneumocascade.imaging.read import KINDS, MAX_PIXELS
from tests.imaging.film_files import (
    DEEP,
    GREY,
    WITHIN_ONE,
    assert_shows,
    code_of,
    encode,
    film_or_code,
    png_header,
    tiff,
)

# Paths and names


def test_every_way_of_naming_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a film.png"
    path.write_bytes(encode(GREY, "PNG"))
    (entry,) = os.scandir(os.fsencode(tmp_path))
    named: list[Any] = [path, str(path), entry]
    for source in named:
        assert_shows(read_radiograph(source), GREY)
    assert read_radiograph(path).source == str(path)
    assert read_radiograph(path, "patient 1").source == "patient 1"
    assert read_radiograph(path.read_bytes()).source == "bytes"


def test_a_name_that_is_not_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        path.write_bytes(encode(GREY, "PNG"))
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    assert_shows(read_radiograph(path), GREY)


@pytest.mark.parametrize("suffix", [".jpg", ".txt", ".dcm", "", ".png.gz"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_the_content_decides_not_the_suffix(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"film{suffix}"
    path.write_bytes(encode(GREY, kind))
    assert_shows(read_radiograph(path), GREY)


@pytest.mark.parametrize("content", [b"just some text\n", b"%PDF-1.7\n", b"\0" * 5000, b"GIF89a"])
def test_another_content_with_a_right_suffix_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.jpeg"
    path.write_bytes(content)
    assert code_of(path) == code_of(content) == "unreadable_image"


@pytest.mark.parametrize("source", [None, 3, 2.5, [], [1, 2], {"a": 1}, object()])
def test_what_is_no_source_at_all(source: Any) -> None:
    with pytest.raises(TypeError, match="a film is given as path, bytes, file"):
        read_radiograph(source)


# Files that cannot be opened


def test_paths_that_lead_to_no_file(tmp_path: Path) -> None:
    empty, link, pipe = tmp_path / "empty.png", tmp_path / "link.png", tmp_path / "pipe.png"
    empty.touch()
    link.symlink_to(tmp_path / "nowhere")
    os.mkfifo(pipe)
    expected = {
        tmp_path / "missing.png": "file_not_found",
        link: "file_not_found",
        empty / "film.png": "file_not_found",
        tmp_path: "not_a_file",
        pipe: "not_a_file",
        empty: "empty_file",
        tmp_path / ("x" * 5000): "unreadable_file",
        tmp_path / "a\0b": "file_not_found",
    }
    for path, code in expected.items():
        with pytest.raises(FileAccessError) as caught:
            read_radiograph(path)
        assert caught.value.code == code, path
        assert len(caught.value.message) < 200
    assert code_of("") == "not_a_file"
    with pytest.raises(FileAccessError, match="a folder that holds films: JPEG, PNG"):
        read_radiograph(tmp_path)
    assert code_of(b"") == "empty_file"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    path.write_bytes(encode(GREY, "PNG"))
    path.chmod(0)
    assert code_of(path) == "permission_denied"
    tmp_path.chmod(0)
    try:
        assert code_of(path) == "permission_denied"
    finally:
        tmp_path.chmod(0o700)


def test_a_file_too_large_for_any_film_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "film.tiff"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    assert code_of(path) == "unreadable_file"


# Files that must not be decoded


def bombs() -> dict[str, bytes]:
    bitmap = struct.pack("<IiiHHIIiiII", 40, 20_000, 20_000, 1, 8, 0, 0, 0, 0, 256, 0)
    frame = struct.pack("<HH3x", 60_000, 60_000) + b"," + struct.pack("<HHHH", 0, 0, 60_000, 60_000)
    small = tiff(np.zeros((16, 16), np.uint8), "<")
    for tag in (256, 257):
        small = small.replace(struct.pack("<HHII", tag, 4, 1, 16), struct.pack("<HHII", tag, 4, 1, 20_000))
    return {
        "png": png_header(20_000, 20_000),
        "png just above the limit": png_header(MAX_PIXELS // 1000 + 1, 1000),
        "png between the limit and the decoder's": png_header(12_000, 12_000),
        "bmp": b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bitmap + bytes(64),
        "gif": b"GIF89a" + frame + b"\0\x02\x02L\x01\0;",
        "tiff": small,
    }


@pytest.mark.parametrize("kind", bombs())
def test_a_header_that_promises_too_much_is_refused_at_once(kind: str) -> None:
    content = bombs()[kind]
    tracemalloc.start()
    started = time.perf_counter()
    try:
        code = code_of(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert code == "too_many_pixels"
    assert time.perf_counter() - started < 1
    assert peak < 1_000_000


@pytest.mark.parametrize(
    ("header", "size"),
    [((20_000, 20_000), "400000000"), ((9_000, 10_000), "90000000"), ((8_940, 9_999), "8940 x 9999")],
)
def test_what_is_too_large_tells_its_size(header: tuple[int, int], size: str) -> None:
    with pytest.raises(UnsuitableImageError, match=f"has {size} pixels; at most 89 million"):
        read_radiograph(png_header(*header))


def test_a_bomb_is_refused_whether_or_not_warnings_are_errors() -> None:
    with pytest.warns(Image.DecompressionBombWarning):
        assert code_of(png_header(12_000, 12_000)) == "too_many_pixels"


def test_a_header_within_the_limit_is_only_truncated() -> None:
    assert code_of(png_header(MAX_PIXELS // 1000, 1000)) == "truncated_image"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_more_than_one_picture_is_refused(kind: str) -> None:
    pages = [Image.fromarray(255 - GREY), Image.fromarray(GREY).rotate(180)]
    with pytest.raises(UnsuitableImageError, match="holds several pictures; give one film a file") as caught:
        read_radiograph(encode(GREY, kind, save_all=True, append_images=pages))
    assert caught.value.code == "multiple_frames"


def test_the_first_picture_of_a_jpeg_with_more_behind_it_is_read() -> None:
    content = encode(GREY, "MPO", save_all=True, append_images=[Image.fromarray(255 - GREY)], quality=100)
    assert_shows(read_radiograph(content), GREY, 3 * WITHIN_ONE)


# Damage


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_a_truncated_file_is_an_error_or_complete(kind: str) -> None:
    content = encode(GREY, kind)
    whole = read_radiograph(content).pixels
    lengths = range(1, len(content), max(1, len(content) // 150))
    outcomes = [film_or_code(content[:length]) for length in lengths]
    codes = {outcome for outcome in outcomes if isinstance(outcome, str)}
    assert codes <= {"unreadable_image", "truncated_image"}
    # Where nothing but the end mark is missing, all of the picture is there.
    assert all(np.array_equal(film.pixels, whole) for film in outcomes if isinstance(film, Radiograph))
    for share in (0.25, 0.5, 0.75, 0.9):
        assert code_of(content[: int(len(content) * share)]) in codes


@settings(max_examples=200)
@given(st.binary(max_size=300))
@example(b"\x00\x02\x00\x00UL\x00\x00")
def test_random_bytes_are_film_errors(content: bytes) -> None:
    begins_as_dicom = {"no_pixels"} if is_dicom(content) else set()
    assert code_of(content) in {"empty_file", "unreadable_image"} | begins_as_dicom


def seeds() -> list[bytes]:
    """Return small valid files of every kind, with EXIF data, palettes, pages and frames."""
    exif = Image.Exif()
    exif[0x0112] = 6
    grey, colour = Image.fromarray(GREY), Image.fromarray(GREY).convert("RGB")
    return [
        encode(grey, "JPEG", exif=exif),
        encode(grey, "PNG", exif=exif),
        encode(DEEP, "PNG"),
        encode(grey.convert("P"), "PNG", transparency=3),
        encode(grey, "PNG", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        encode(DEEP, "TIFF", compression="tiff_lzw", exif=exif),
        encode(colour, "TIFF"),
        encode(grey, "TIFF", save_all=True, append_images=[colour]),
        encode(grey, "WEBP", exif=exif),
        encode(grey, "BMP"),
        encode(grey, "GIF"),
        encode(grey, "GIF", save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        encode(grey, "MPO", save_all=True, append_images=[colour]),
    ]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("seed", range(len(seeds())))
def test_damaged_files_raise_nothing_but_film_errors(seed: int) -> None:
    rng = random.Random(seed)
    original = seeds()[seed]
    outcomes = set()
    for _ in range(120):
        content = bytearray(original)
        for _ in range(rng.choice((1, 1, 2, 5))):
            # Half of the damage goes into the first bytes, where the headers are.
            place = rng.randrange(rng.choice((min(200, len(content)), len(content))))
            damage = rng.randrange(4)
            if damage == 0:
                content[place] = rng.randrange(256)
            elif damage == 1:
                content[place] ^= 1 << rng.randrange(8)
            elif damage == 2:
                del content[place : place + rng.randrange(1, 9)]
            else:
                content[place:place] = rng.randbytes(rng.randrange(1, 5))
        outcome = film_or_code(bytes(content))
        outcomes.add(outcome if isinstance(outcome, str) else "read")
    assert errors.__doc__ is not None
    assert all(outcome == "read" or outcome in errors.__doc__ for outcome in outcomes)


def test_messages_say_what_was_found_and_what_is_expected() -> None:
    expected = {
        b"hello": f"these 5 bytes are not an image; expected {KINDS}",
        encode(np.zeros((1, 1), np.uint8), "PNG"): "the picture has 1 x 1 pixels; expected 16 or more a side",
        encode(
            np.full((20, 20), 9, np.uint8), "PNG"
        ): "every pixel has the grey value 9; there is no picture",
    }
    for content, message in expected.items():
        with pytest.raises(FilmError, match=f"^{re.escape(message)}$"):
            read_radiograph(content)
