"""Warnings and logs of pydicom, which may quote the patient's attributes, stay inside."""

from __future__ import annotations

import logging
import threading
import warnings

import pytest

from pneumocascade.imaging.dicom.quiet import quiet
from tests.imaging.dicom.objects import GREY, dataset, film_of, to_bytes

PLANTED = b"Doe^Jane"


def odd_object() -> bytes:
    """Return an object whose birth date and age hold a name; pydicom warns of both, and quotes them."""
    data = to_bytes(dataset(GREY, 8, PatientBirthDate="20000101", PatientAge="005Y", PixelAspectRatio=[1, 1]))
    return data.replace(b"20000101", PLANTED).replace(b"005Y", PLANTED[:4])


def test_odd_values_are_neither_warned_of_nor_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    data = odd_object()
    caplog.set_level(logging.DEBUG)
    film = film_of(data)
    assert film.acquisition.age_years is None
    assert (len(recwarn), caplog.text, *capfd.readouterr()) == (0, "", "", "")


def test_what_was_set_before_is_set_again() -> None:
    logger = logging.getLogger("pydicom")
    before = (list(warnings.filters), logger.level)
    with quiet(), quiet():
        warnings.warn("not heard", UserWarning, stacklevel=1)
        assert not logger.isEnabledFor(logging.CRITICAL)
    assert (list(warnings.filters), logger.level) == before
    with pytest.raises(ValueError, match="passed on"), quiet():
        raise ValueError("passed on")
    assert (list(warnings.filters), logger.level) == before


def test_the_last_thread_that_goes_out_puts_it_back() -> None:
    before = (list(warnings.filters), logging.getLogger("pydicom").level)
    start = threading.Barrier(8)

    def read() -> None:
        start.wait()
        for _ in range(200):
            with quiet():
                warnings.warn("not heard", UserWarning, stacklevel=1)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (list(warnings.filters), logging.getLogger("pydicom").level) == before
