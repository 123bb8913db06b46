"""The self-test tries what the reader reads, and fails where a decoder does."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom import uid

from pneumocascade.imaging.dicom import frames, self_test


def test_every_transfer_syntax_that_is_read_is_tried() -> None:
    read = frames.NATIVE | set(frames._PLUGINS) | {uid.DeflatedExplicitVRLittleEndian}
    assert set(self_test.ENCODERS) == read


def test_all_decoders_work_here() -> None:
    assert self_test.try_decoders() == {syntax.name: "" for syntax in self_test.ENCODERS}


@pytest.mark.parametrize("syntax", self_test.ENCODERS, ids=str)
def test_the_object_is_in_the_transfer_syntax_it_says(syntax: uid.UID) -> None:
    try:
        data = self_test._object(self_test._picture(), syntax, self_test.ENCODERS[syntax])
    except ImportError as error:
        pytest.skip(str(error))
    assert pydicom.dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID == syntax


def test_a_decoder_that_fails_or_lies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name = uid.JPEGLosslessSV1.name
    black = np.zeros((self_test._SIDE, self_test._SIDE), np.uint8)
    monkeypatch.setattr(imagecodecs, "jpeg8_decode", lambda *_, **__: black)
    assert "differ by up to 255" in self_test.try_decoders()[name]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(imagecodecs, "jpeg8_decode", fail)
    tried = self_test.try_decoders()
    assert tried[name] != ""
    assert tried[uid.RLELossless.name] == ""


def test_without_an_encoder_the_decoder_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: object) -> bytes:
        raise ImportError("no HTJ2K in this build")

    monkeypatch.setitem(self_test.ENCODERS, uid.HTJ2K, absent)
    assert self_test.try_decoders()[uid.HTJ2K.name] == ""
