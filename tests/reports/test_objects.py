"""DICOM objects are made of the very film that was judged, and nothing of it is said aloud."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from pydicom import uid

from pneumocascade import FilmError, Prediction
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.reports.objects import object_bytes, write_objects
from tests.reports.sources import MEANS, PLANTED, Tiny, film_object, film_of, radiograph_of, saved, tiny
from tests.reports.test_odd_headers import with_bytes

__all__ = ["tiny"]

FILM = film_of(MEANS["viral"])


def judged(tiny: Tiny, content: bytes) -> Prediction:
    return tiny.cascade.predict(content, display=True, name="-")


def test_a_film_that_came_as_bytes_is_not_looked_for_by_its_name(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = saved(film_object(FILM))
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(saved(film_object(FILM)))
    answer = judged(tiny, content)
    assert answer.display is not None
    paths = write_objects(answer, answer.display, tiny.models, tmp_path / "out", content=content)
    made = [pydicom.dcmread(path) for path in paths]
    assert [each.SOPClassUID for each in made] == [
        uid.ComprehensiveSRStorage,
        uid.SecondaryCaptureImageStorage,
    ]
    assert [path.stem for path in paths] == [each.SOPInstanceUID for each in made]
    source = pydicom.dcmread(io.BytesIO(content))
    assert made[1].SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_a_file_that_is_another_film_by_now_gets_no_objects(tiny: Tiny, tmp_path: Path) -> None:
    path, source = tmp_path / "film.dcm", film_object(FILM)
    path.write_bytes(saved(film_object(FILM)))
    answer = replace(judged(tiny, saved(source)), source=str(path))
    with pytest.raises(FilmError, match="another DICOM object"):
        write_objects(answer, radiograph_of(source), tiny.models, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("clean", [False, True])
def test_no_warning_quotes_the_header(
    tiny: Tiny, tmp_path: Path, clean: bool, recwarn: pytest.WarningsRecorder
) -> None:
    odd = {"PatientBirthDate": PLANTED.encode() + b" ", "AccessionNumber": 30 * PLANTED.encode()}
    with quiet():
        content = saved(with_bytes(odd))
    answer = judged(tiny, content)
    assert answer.display is not None
    assert write_objects(answer, answer.display, tiny.models, tmp_path, clean=clean, content=content)
    assert object_bytes("sr", answer, content, tiny.models)
    assert object_bytes("sc", answer, content, tiny.models)
    assert [str(warning.message) for warning in recwarn] == []
