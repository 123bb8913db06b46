"""HTML made from answers: escaped, and plain about what did not run."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pneumocascade import Cascade, ModelSpec, Prediction, Reason, StageResult
from pneumocascade.types import DISCLAIMER
from pneumocascade.web import fragments
from pneumocascade.web.analysis import Analysis, analyse
from pneumocascade.web.configuration import configuration, figures, operating_points
from pneumocascade.web.header import header
from pneumocascade.web.verdict_card import verdict_card
from tests.conftest import vary_example
from tests.web.test_verdict_card import PNEUMONIA, text_of

EVIL = '<img src=x onerror="alert(1)">.png'
STAGE1 = StageResult({"normal": 0.9, "pneumonia": 0.1}, "normal", 0.62, ("normal",))
NORMAL = Prediction(EVIL, "ok", "balanced", "1.0.0", "normal", stage1=STAGE1, warnings=("<b>odd</b>",))
REFUSED = Prediction(
    "b.png", "refused", "balanced", "1.0.0", reasons=(Reason("blank", "Hardly <any> tone."),)
)


@pytest.fixture(scope="module")
def film(cascade: Cascade, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    path = tmp_path_factory.mktemp("films") / "film & co.png"
    Image.fromarray(vary_example()).save(path)
    return analyse(cascade, path, "balanced")


@pytest.mark.parametrize(
    "make",
    [
        lambda analysis: verdict_card(analysis),
        lambda analysis: fragments.gallery([analysis]),
        lambda analysis: fragments.results([analysis]),
    ],
)
def test_names_cannot_carry_html(make: object, film: Analysis) -> None:
    assert callable(make)
    html = make(replace(film, prediction=NORMAL))
    assert "<img src=x" not in html
    assert "<b>odd</b>" not in html
    assert "onerror" not in re.sub(r"&lt;.*?&gt;", "", html)


def test_a_file_that_is_no_film_has_no_pictures(cascade: Cascade, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no film")
    analysis = analyse(cascade, path, "balanced")
    assert analysis.prediction.status == "error"
    assert analysis.prediction.error == cascade.predict(path, name="notes.txt").error
    for make in (fragments.film_and_processed, fragments.steps, fragments.quality):
        assert "could not be read" in make(analysis)
    assert analysis.thumbnail is None
    assert analysis.film is None
    assert 'class="pc-no-film"' in fragments.gallery([analysis])


def test_answers_are_those_of_the_cascade(cascade: Cascade, film: Analysis, tmp_path: Path) -> None:
    Image.fromarray(vary_example()).save(tmp_path / "film & co.png")
    direct = cascade.predict(tmp_path / "film & co.png", name="film & co.png")
    assert replace(film.prediction, elapsed_ms=0.0) == replace(direct, elapsed_ms=0.0)


def test_pictures_of_the_steps_are_exact(film: Analysis) -> None:
    html = fragments.steps(film)
    addresses = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(addresses) == len(film.steps)
    for address, step in zip(addresses, film.steps, strict=True):
        with Image.open(io.BytesIO(base64.b64decode(address))) as image:
            assert np.array_equal(np.asarray(image), step.picture)


def test_quality_table_compares_original_and_processed(film: Analysis) -> None:
    text = text_of(fragments.quality(film))
    before, after = film.quality
    for value in (f"{before.mean:.1f}", f"{after.mean:.1f}", f"{after.mean - before.mean:+.1f}"):
        assert value in text


def test_no_change_has_no_sign(film: Analysis) -> None:
    before = film.quality[0]
    after = replace(before, entropy=before.entropy - 0.001, mean=before.mean - 2)
    rows = re.findall(r"<tr>.*?</tr>", fragments.quality(replace(film, quality=(before, after))))
    cells = [text_of(row).split()[-1] for row in rows[1:]]
    assert cells == ["-2.0", "0.0", "0.00", "0.000"]


def test_what_a_refused_film_went_through_was_given_to_no_model(film: Analysis) -> None:
    refused = replace(film, prediction=REFUSED)
    assert "no finding rests on these pictures" in text_of(fragments.steps(refused))
    assert "no finding" not in fragments.steps(film)


def test_table_and_gallery_say_where_the_type_is_undetermined(film: Analysis) -> None:
    sure = replace(film, prediction=PNEUMONIA)
    assert PNEUMONIA.stage2 is not None
    stage2 = replace(PNEUMONIA.stage2, prediction_set=("bacterial", "viral"))
    unsure = replace(film, prediction=replace(PNEUMONIA, stage2=stage2))
    for make in (fragments.results, fragments.gallery):
        assert "undetermined" not in make([sure])
        assert "ype undetermined" in make([unsure])


def test_cells_name_their_column_where_rows_are_stacked() -> None:
    html = fragments.table(("Film", "<Verdict>"), [("a.png", "Normal")], "pc-stacked")
    assert '<th scope="row">a.png</th><td data-label="&lt;Verdict&gt;">Normal</td>' in html


def test_rows_and_tiles_can_be_chosen_and_rows_sorted(film: Analysis) -> None:
    shown = [film, Analysis(REFUSED)]
    table, gallery = fragments.results(shown, 1), fragments.gallery(shown, 1)
    for html in (table, gallery):
        pressed = re.findall(r'data-index="(\d)" aria-pressed="(true|false)"', html)
        assert pressed == [("0", "false"), ("1", "true")]
    assert film.prediction.stage1 is not None
    share = film.prediction.stage1.probabilities["pneumonia"]
    assert f'data-label="Pneumonia" data-key="{share:.6f}"' in table
    assert table.count('class="pc-current"') == 1
    assert fragments.gallery(shown, 1) != gallery, "a second run would not be drawn"


def test_header_counts_films() -> None:
    assert "1,234 films analysed" in text_of(header(1234))
    assert " 1 film analysed" in text_of(header(1))
    assert ">—<" in header(None)
    assert DISCLAIMER in header(0)


def test_figures_come_from_the_model() -> None:
    metrics = {
        "auroc": 0.991,
        "auroc_low": 0.985,
        "auroc_high": 0.996,
        "ece": 0.0123,
        "n": 1015.0,
        "odd_one": 0.5,
    }
    spec = ModelSpec(1, ("normal", "pneumonia"), metrics=metrics, validation_data="some <films>")
    text = text_of(figures(spec))
    assert "AUROC" in text
    assert "0.991 (0.985 to 0.996)" in text
    assert "1,015" in text
    assert "Odd one" in text
    assert "Measured on: some <films>" in text
    assert "low" not in text
    assert "no measured figures" in figures(ModelSpec(1, ("normal", "pneumonia")))


def test_configuration_and_operating_points_are_the_models(cascade: Cascade) -> None:
    text = text_of(configuration(cascade))
    spec = cascade.stage1.spec
    assert f"{spec.size} x {spec.size} pixels" in text
    assert spec.recipe in text
    table = text_of(operating_points(spec))
    assert all(name in table for name in spec.operating_points)
    for data in {point.data for point in spec.operating_points.values()}:
        assert table.count(f"chosen on {data}.") == 1
