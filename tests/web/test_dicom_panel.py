"""The panel of a DICOM film: how it was made, and nothing of the patient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pneumocascade import Cascade
from pneumocascade.i18n import speaking
from pneumocascade.inference.worker_pool import IsolatedReader
from pneumocascade.types import Acquisition
from pneumocascade.web.analysis import analyse
from pneumocascade.web.dicom_panel import NOT_SAID, dicom_panel
from pneumocascade.web.fragments import film_and_processed
from tests.imaging.dicom.objects import dataset, film_of, table, to_bytes
from tests.reports.sources import MEANS, film_object
from tests.reports.sources import film_of as drawn_film
from tests.web.test_verdict_card import text_of

DEEP = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)


def facts_of(html: str) -> dict[str, str]:
    rows = [row.split("</dt>") for row in html.split("<dt>")[1:]]
    return {text_of(name).strip(): text_of(value.split("</dd>")[0]).strip() for name, value in rows}


@pytest.fixture(scope="module")
def isolated() -> Iterator[IsolatedReader]:
    reader = IsolatedReader(1)
    yield reader
    reader.close()


def test_the_panel_tells_how_the_film_was_made_and_not_of_whom(
    models: Path, tmp_path: Path, isolated: IsolatedReader
) -> None:
    path = tmp_path / "film.dcm"
    item = film_object(drawn_film(MEANS["viral"]))
    item.PatientName, item.PatientID, item.InstitutionName = "Miller^Jane", "4711-42", "Saint Mary"
    item.PatientAge, item.ViewPosition, item.BurnedInAnnotation = "004Y", "AP", "YES"
    item.PixelSpacing, item.StudyDate = [0.2, 0.2], "20240102"
    item.save_as(path, enforce_file_format=True)
    for reader in ({}, {"reader": isolated}):
        html = film_and_processed(analyse(Cascade.load(models, threads=1, **reader), path, "balanced"))  # type: ignore[arg-type]
        panel = html[html.index("<details") :]
        facts = facts_of(panel)
        assert facts["Modality"] == item.Modality
        assert facts["View position"] == "AP"
        assert facts["Age"] == "4 years"
        assert facts["Photometric interpretation"].startswith(item.PhotometricInterpretation)
        assert facts["Pixel spacing"] == "0.2 mm"
        assert facts["Burned-in annotation"].startswith("yes")
        for secret in ("Miller", "Jane", "4711", "Saint", "2024", item.SOPInstanceUID, item.StudyInstanceUID):
            assert secret not in panel


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ({"WindowCenter": 2000, "WindowWidth": 3000}, "centre 2000, width 3000"),
        ({}, "taken from the histogram"),
        ({"VOILUTSequence": [table(0, np.arange(4096), 12)]}, "VOI LUT of the object"),
    ],
    ids=["window", "histogram", "lut"],
)
def test_the_window_in_use_is_named(attributes: dict[str, object], shown: str) -> None:
    film = film_of(to_bytes(dataset(DEEP, 12, **attributes)))
    assert shown in facts_of(dicom_panel(film.acquisition))["Window"]


def test_free_text_and_old_age_are_not_shown() -> None:
    said = Acquisition(
        "MILLER", view_position="JANE AP", age_years=93.0, photometric="JANE", burned_in="JANE"
    )
    facts = facts_of(dicom_panel(said))
    assert facts["Age"] == "over 89 years"
    assert [facts[name] for name in ("Modality", "View position", "Burned-in annotation")] == [NOT_SAID] * 3
    assert facts["Photometric interpretation"] == NOT_SAID
    assert facts_of(dicom_panel(Acquisition(age_years=1.5)))["Age"] == "18 months"


def test_the_panel_speaks_the_language_of_the_page() -> None:
    said = Acquisition(
        "DX", age_years=1.5, burned_in="NO", voi="window", window=(0.5, 2.25), pixel_spacing=(0.2, 0.25)
    )
    with speaking("de"):
        facts = facts_of(dicom_panel(said))
    assert facts["Modalität"] == "DX"
    assert facts["Projektion"] == "nicht angegeben"
    assert facts["Alter"] == "18 Monate"
    assert facts["Fenster"] == "Mitte 0,5, Breite 2,25"
    assert facts["Pixelabstand"] == "0,2 mm zwischen Zeilen, 0,25 mm zwischen Spalten"
    assert facts["Eingebrannte Beschriftung"] == "nein"


def test_other_films_have_no_panel() -> None:
    assert dicom_panel(None) == ""
