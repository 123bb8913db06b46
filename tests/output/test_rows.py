"""The one shape of answer: the keys of the contract, and CSV that survives any name."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumocascade.output.rows import to_csv, to_csv_row
from pneumocascade.types import (
    DISCLAIMER,
    ROW_COLUMNS,
    Prediction,
    Reason,
    StageResult,
    encodable,
    reasons_of,
)

COMMON = {"source", "status", "operating_point", "prior", "warnings", "model_version", "elapsed_ms"}
STAGE1 = StageResult({"normal": 0.031, "pneumonia": 0.969}, "pneumonia", 0.62, ("pneumonia",))
STAGE2 = StageResult({"bacterial": 0.22, "viral": 0.78}, "viral", 0.5, ("bacterial", "viral"))
NORMAL1 = StageResult({"normal": 0.9, "pneumonia": 0.1}, "normal", 0.62, ("normal",))

PNEUMONIA = Prediction(
    "films/a.jpeg",
    "ok",
    "balanced",
    "1.0.0",
    "pneumonia",
    "viral",
    STAGE1,
    STAGE2,
    ("a note", "another"),
    31.4,
    familiarity=0.4,
)
NORMAL = Prediction("films/b.jpeg", "ok", "sensitive", "1.0.0", "normal", None, NORMAL1, None, (), 15.0)
REFUSED = Prediction(
    "c.png",
    "refused",
    "balanced",
    "1.0.0",
    reasons=(Reason("too_small", "Too small."), Reason("blank", "Blank.")),
)
ERROR = Prediction("d.png", "error", "balanced", "1.0.0", error=Reason("unreadable_image", "no image"))

# Lone surrogates (names that are not UTF-8), carriage returns and NULs have tests of their own.
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_an_answer_has_the_keys_and_values_of_the_contract() -> None:
    assert PNEUMONIA.to_dict() == {
        "source": "films/a.jpeg",
        "status": "ok",
        "finding": "pneumonia",
        "aetiology": "viral",
        "stage1": {
            "probabilities": {"normal": 0.031, "pneumonia": 0.969},
            "label": "pneumonia",
            "threshold": 0.62,
            "prediction_set": ["pneumonia"],
        },
        "stage2": {
            "probabilities": {"bacterial": 0.22, "viral": 0.78},
            "label": "viral",
            "threshold": 0.5,
            "prediction_set": ["bacterial", "viral"],
        },
        "familiarity": 0.4,
        "operating_point": "balanced",
        "prior": 0.5,
        "warnings": ["a note", "another"],
        "model_version": "1.0.0",
        "elapsed_ms": 31.4,
    }


def test_a_stage_that_did_not_run_is_null() -> None:
    row = NORMAL.to_dict()
    assert set(row) == COMMON | {"finding", "aetiology", "stage1", "stage2", "familiarity"}
    assert (row["finding"], row["aetiology"], row["stage2"]) == ("normal", None, None)


def test_a_refused_film_has_reasons_and_no_finding() -> None:
    row = REFUSED.to_dict()
    assert set(row) == COMMON | {"reasons"}
    assert row["reasons"] == [
        {"code": "too_small", "message": "Too small."},
        {"code": "blank", "message": "Blank."},
    ]


def test_an_unread_film_has_an_error_and_no_finding() -> None:
    row = ERROR.to_dict()
    assert set(row) == COMMON | {"error"}
    assert row["error"] == {"code": "unreadable_image", "message": "no image"}


@pytest.mark.parametrize(
    "prediction", [PNEUMONIA, NORMAL, REFUSED, ERROR], ids=lambda p: f"{p.status}-{p.finding}"
)
def test_json_brings_back_the_object(prediction: Prediction) -> None:
    line = prediction.to_json()
    assert "\n" not in line
    assert json.loads(line) == prediction.to_dict()


@given(names, names)
def test_any_name_stays_on_one_json_line(name: str, message: str) -> None:
    line = Prediction(name, "error", "balanced", "1", error=Reason("code", message)).to_json()
    assert "\n" not in line
    assert "\r" not in line
    assert json.loads(line)["source"] == name


def test_csv_rows_have_the_columns_and_leave_empty_what_does_not_apply() -> None:
    rows = [to_csv_row(prediction) for prediction in (PNEUMONIA, NORMAL, REFUSED, ERROR)]
    assert all(tuple(row) == ROW_COLUMNS for row in rows)
    first, normal, refused, error = rows
    assert [first[f"probability_{label}"] for label in ("normal", "pneumonia", "bacterial", "viral")] == [
        0.031,
        0.969,
        0.22,
        0.78,
    ]
    assert (first["stage1_threshold"], first["stage2_threshold"], first["warnings"]) == (
        0.62,
        0.5,
        "a note; another",
    )
    assert [row["stage2_prediction_set"] for row in rows] == [
        " ".join(PNEUMONIA.stage2.prediction_set) if PNEUMONIA.stage2 else None,
        "",
        "",
        "",
    ]
    assert (
        normal["finding"],
        normal["aetiology"],
        normal["probability_viral"],
        normal["stage2_threshold"],
    ) == (
        "normal",
        "",
        "",
        "",
    )
    assert (refused["code"], refused["message"], refused["finding"]) == (
        "too_small; blank",
        "Too small. Blank.",
        "",
    )
    assert (error["code"], error["message"], error["probability_normal"]) == (
        "unreadable_image",
        "no image",
        "",
    )


def test_csv_has_one_header_and_one_row_for_each_answer() -> None:
    text = to_csv([PNEUMONIA, REFUSED, ERROR])
    assert text.splitlines()[0] == ",".join(ROW_COLUMNS)
    assert [row["status"] for row in read_csv(text)] == ["ok", "refused", "error"]
    assert to_csv([]).splitlines() == [",".join(ROW_COLUMNS)]


@pytest.mark.parametrize(
    "name", ["a,b.png", 'the "first".png', "two\nlines.png", "a;b.png", " leading", "été.png", ""]
)
def test_csv_survives_names_with_commas_quotes_and_newlines(name: str) -> None:
    prediction = Prediction(name, "error", "balanced", "1", error=Reason("code", f"{name}: no image"))
    (row,) = read_csv(to_csv([prediction]))
    assert (row["source"], row["message"]) == (name, f"{name}: no image")


@given(st.lists(names.filter(lambda name: name[:1] not in "=+-@\t\r" and "\r" not in name)))
def test_csv_survives_any_names(sources: list[str]) -> None:
    predictions = [Prediction(name, "error", "balanced", "1", error=Reason("code", name)) for name in sources]
    assert [(row["source"], row["message"]) for row in read_csv(to_csv(predictions))] == [
        (name, name) for name in sources
    ]


def test_json_and_csv_agree_on_the_figures() -> None:
    content: dict[str, Any] = PNEUMONIA.to_dict()
    (row,) = read_csv(to_csv([PNEUMONIA]))
    for stage in ("stage1", "stage2"):
        assert float(row[f"{stage}_threshold"]) == content[stage]["threshold"]
        for label, value in content[stage]["probabilities"].items():
            assert float(row[f"probability_{label}"]) == value


def test_why_there_is_no_finding() -> None:
    assert reasons_of(REFUSED) == REFUSED.reasons
    assert reasons_of(ERROR) == (ERROR.error,)
    assert reasons_of(PNEUMONIA) == ()


def test_what_is_encodable_stays_as_it_is() -> None:
    assert encodable("été 肺.png") == "été 肺.png"
    assert encodable("fi\udce9lm.png") == r"fi\udce9lm.png"


def test_the_disclaimer_is_the_agreed_sentence() -> None:
    assert DISCLAIMER == "Research demonstration only. Not intended for medical diagnosis."


@pytest.mark.parametrize("name", ["=1+1.png", "+x.png", "-x.png", "@x.png", "\tx.png"])
def test_a_name_cannot_become_a_formula(name: str) -> None:
    prediction = Prediction(name, "error", "balanced", "1", error=Reason("empty_file", "empty"))
    assert to_csv_row(prediction)["source"] == f"'{name}"
    assert json.loads(prediction.to_json())["source"] == name


def test_names_that_are_not_utf8_or_hold_line_ends_do_not_break_a_batch() -> None:
    name = b"fi\xe9lm\r\n\0.png".decode("utf-8", "surrogateescape")
    prediction = Prediction(name, "error", "balanced", "1", error=Reason("empty_file", "empty"))
    assert json.loads(prediction.to_json().encode())["source"] == name
    rows = list(csv.DictReader(io.StringIO(to_csv([prediction, prediction]), newline="")))
    assert [row["status"] for row in rows] == ["error", "error"]
