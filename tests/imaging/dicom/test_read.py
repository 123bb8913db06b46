"""One object in, one film out, and damaged bytes of every kind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade.errors import FilmError
from pneumocascade.imaging.dicom.read import DicomFilm, read_dicom
from tests.imaging.dicom.encoders import LOSSLESS, LOSSY, encoded
from tests.imaging.dicom.objects import (
    DEEP,
    GREY,
    MAX_PIXELS,
    NAME,
    code_of,
    dataset,
    film_of,
    report,
    to_bytes,
)

WAYS = (*LOSSLESS, *LOSSY)
CODES = {
    "unreadable_image",
    "truncated_image",
    "unsupported_format",
    "unsupported_transfer_syntax",
    "no_pixels",
    "too_many_pixels",
    "bad_dtype",
}


def film_or_code(data: bytes) -> DicomFilm | str:
    """Read an object; an error has a known code and does not quote the patient."""
    try:
        film = read_dicom(data, max_pixels=1_000_000)
    except FilmError as error:
        assert error.code in CODES
        assert not any(part.upper() in error.message.upper() for part in (*NAME.split("^"), "PLANTED"))
        return error.code
    assert film.pixels.dtype in (np.uint8, np.uint16)
    assert film.pixels.shape[0] * film.pixels.shape[1] <= 1_000_000
    return film


def test_frames_by_number() -> None:
    frames = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]])
    item = dataset(frames, WindowCenter=2048, WindowWidth=4096)
    shown = film_of(dataset(DEEP, WindowCenter=2048, WindowWidth=4096)).pixels
    first = film_of(item)
    assert first.frames == 3
    assert first.warnings == ("The DICOM object has 3 frames: the first was taken.",)
    for number, expected in enumerate((shown, shown[::-1], shown[:, ::-1]), start=1):
        film = film_of(item, frame=number)
        assert np.array_equal(film.pixels, expected)
        assert film.warnings == ()
    assert np.array_equal(first.pixels, shown)
    for number in (0, -1, 4):
        assert code_of(item, frame=number) == "no_such_frame"


def test_a_film_larger_than_the_limit_is_not_decoded() -> None:
    data = to_bytes(dataset(GREY, 8))
    with pytest.raises(FilmError) as caught:
        read_dicom(data, max_pixels=GREY.size - 1)
    assert caught.value.code == "too_many_pixels"
    assert read_dicom(data, max_pixels=GREY.size).pixels.size == GREY.size


def test_an_object_without_pixels_is_no_film() -> None:
    assert code_of(report()) == "no_pixels"


def test_films_can_be_read_side_by_side() -> None:
    data = [to_bytes(dataset(np.roll(DEEP, shift, 1))) for shift in range(16)]
    expected = [film_of(each).pixels for each in data]
    with ThreadPoolExecutor(8) as pool:
        for found, alone in zip(pool.map(film_of, data * 3), expected * 3, strict=True):
            assert np.array_equal(found.pixels, alone)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return an object in each transfer syntax whose encoder is installed."""
    found = {}
    for way in WAYS:
        values, bits = (GREY, 8) if way in ("JPEG baseline", "JPEG extended 8") else (DEEP, 12)
        folder: Path = tmp_path_factory.mktemp("objects")
        try:
            found[way] = encoded(dataset(values, bits), way, folder)
        except pytest.skip.Exception:
            continue
    return found


@pytest.mark.parametrize("way", WAYS)
def test_an_object_that_was_cut_is_no_film(way: str, objects: dict[str, bytes]) -> None:
    if way not in objects:
        pytest.skip(f"no encoder for {way}")
    data = objects[way]
    for kept in [*range(0, 400, 7), *range(400, len(data) - 20, 97)]:
        assert isinstance(film_or_code(data[:kept]), str)


@pytest.mark.parametrize("way", WAYS)
def test_flipped_bits_give_a_film_or_a_code(way: str, objects: dict[str, bytes]) -> None:
    if way not in objects:
        pytest.skip(f"no encoder for {way}")
    rng = np.random.default_rng(0)
    for round_ in range(150):
        data = bytearray(objects[way])
        limit = 1200 if round_ % 3 else len(data)  # headers matter most
        for at in rng.integers(0, limit, rng.integers(1, 12)):
            data[at] ^= 1 << int(rng.integers(0, 8))
        film_or_code(bytes(data))


@pytest.mark.parametrize("way", WAYS)
def test_changed_codestreams_give_a_film_or_a_code(way: str, objects: dict[str, bytes]) -> None:
    if way not in objects:
        pytest.skip(f"no encoder for {way}")
    rng = np.random.default_rng(1)
    whole = objects[way]
    start = max(0, whole.find(b"\xe0\x7f\x10\x00"))
    for round_ in range(150):
        data = bytearray(whole)
        limit = min(start + 300, len(data)) if round_ % 2 else len(data)
        for at in rng.integers(start, limit, rng.integers(1, 8)):
            data[at] = int(rng.integers(0, 256))
        film_or_code(bytes(data))


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_get_a_film_or_a_code(data: bytes, prefix: bool) -> None:
    assert isinstance(film_or_code(bytes(128) + b"DICM" + data if prefix else data), str)


def test_the_limit_of_the_caller_is_the_one_that_counts() -> None:
    assert film_of(dataset(GREY, 8)).pixels.size < MAX_PIXELS
