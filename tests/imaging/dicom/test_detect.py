"""What is taken for a DICOM object."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid

from pneumocascade.imaging.dicom.detect import DICOM_HEAD, is_dicom
from tests.conftest import EXAMPLES
from tests.imaging.dicom.objects import GREY, dataset, film_of, report, to_bytes
from tests.imaging.film_files import encode, tiff

NATIVE = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)


@pytest.mark.parametrize("syntax", [*NATIVE, uid.DeflatedExplicitVRLittleEndian])
def test_objects_are_recognised_by_their_head(syntax: uid.UID) -> None:
    for item in (dataset(GREY, 8), report()):
        assert is_dicom(to_bytes(item, syntax)[:DICOM_HEAD])


@pytest.mark.parametrize("syntax", NATIVE)
def test_a_data_set_without_preamble_is_read(syntax: uid.UID) -> None:
    whole = to_bytes(dataset(GREY, 8), syntax)
    length = int.from_bytes(whole[140:144], "little")
    bare = whole[144 + length :]
    assert is_dicom(bare[:DICOM_HEAD])
    assert np.array_equal(film_of(bare).pixels, GREY)


def test_file_meta_information_without_preamble_is_read() -> None:
    bare = to_bytes(dataset(GREY, 8))[DICOM_HEAD:]
    assert is_dicom(bare)
    assert np.array_equal(film_of(bare).pixels, GREY)


def test_a_preamble_may_be_that_of_a_tiff_file() -> None:
    data = b"II*\0" + to_bytes(dataset(GREY, 8))[4:]
    assert is_dicom(data)
    assert np.array_equal(film_of(data).pixels, GREY)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_other_pictures_are_none(kind: str) -> None:
    assert not is_dicom(encode(GREY, kind))


def test_nor_are_other_files() -> None:
    assert not any(is_dicom(path.read_bytes()) for path in [*EXAMPLES, Path(__file__)])
    assert not any(map(is_dicom, (b"", b"DICM", b"\x08", b"\x08\0\5\0", tiff(GREY, "<"), bytes(200))))


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    if not is_dicom(data):
        assert data[128:132] != b"DICM"


def test_looking_loads_no_pydicom() -> None:
    code = (
        "import sys, pneumocascade.imaging.dicom.detect, pneumocascade.imaging.dicom.suitability\n"
        "sys.exit('pydicom' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
