"""Lossless JPEG and JPEG Extended, which pydicom's own plugins leave to other libraries."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGBaseline8Bit

from pneumocascade.imaging.dicom import jpeg
from tests.imaging.dicom.encoders import encoded, needs
from tests.imaging.dicom.objects import DEEP, GREY, dataset, film_of


def test_the_plugin_is_known_to_pydicom_once() -> None:
    jpeg.register()
    for syntax in jpeg.DECODER_DEPENDENCIES:
        assert get_decoder(syntax).available_plugins.count(jpeg.NAME) == 1
        assert jpeg.is_available(syntax)
    assert not jpeg.is_available(JPEGBaseline8Bit)


@pytest.mark.parametrize(
    "way", ["JPEG extended 8", "JPEG extended 12", "JPEG lossless 57", "JPEG lossless 70"]
)
def test_it_decodes_as_dcmtk_does(way: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    values, bits = (GREY, 8) if way == "JPEG extended 8" else (DEEP, 12)
    data = encoded(dataset(values, bits, WindowCenter=2048, WindowWidth=4096), way, tmp_path)
    (tmp_path / "film.dcm").write_bytes(data)
    subprocess.run([needs("dcmdjpeg", "dcmtk"), "film.dcm", "out.dcm"], cwd=tmp_path, check=True, timeout=60)
    expected = film_of((tmp_path / "out.dcm").read_bytes()).pixels.astype(int)
    capfd.readouterr()
    found = film_of(data)
    assert capfd.readouterr() == ("", "")
    # Two ways to undo the cosine transform may round to neighbouring values.
    tolerance = 65535 / 4095 * 1.01 if bits == 12 else 1
    assert np.abs(found.pixels.astype(int) - expected).max() <= ("extended" in way) * tolerance
