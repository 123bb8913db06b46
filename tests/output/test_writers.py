from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path

import pytest

from pneumocascade.errors import UsageError
from pneumocascade.imaging.find import find_sources
from pneumocascade.output.writers import Csv, FhirLines, Format, JsonArray, JsonLines, Writer, format_of
from pneumocascade.types import Prediction, Reason

ANSWERS = [
    Prediction('a,\n"b".png', "error", "balanced", "1", error=Reason("empty_file", "the file is empty")),
    Prediction("ü.png", "refused", "balanced", "1", reasons=(Reason("blank", "Nothing, really."),)),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPEG", "notes.txt", "deep/er/c.tif", "deep/[1].png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(tree: Path, *named: str) -> list[str]:
    return [
        str(Path(source).relative_to(tree)) for source in find_sources(str(tree / name) for name in named)
    ]


def test_a_folder_stands_for_the_films_below_it(tree: Path) -> None:
    assert names(tree, "") == ["a.JPEG", "b.png", "deep/[1].png", "deep/er/c.tif"]


def test_order_is_that_of_the_arguments(tree: Path) -> None:
    assert names(tree, "deep", "notes.txt", "b.png") == [
        "deep/[1].png",
        "deep/er/c.tif",
        "notes.txt",
        "b.png",
    ]


def test_patterns_and_names_with_brackets(tree: Path) -> None:
    assert names(tree, "*.png") == ["b.png"]
    assert names(tree, "**/*.png") == ["b.png", "deep/[1].png"]
    assert names(tree, "deep/[1].png") == ["deep/[1].png"]


def test_what_is_not_there_is_not_passed_over(tree: Path) -> None:
    assert names(tree, "none.png", "*.webp") == ["none.png", "*.webp"]


def test_a_folder_without_films_is_not_passed_over(tree: Path) -> None:
    (tree / "empty" / "like.png").mkdir(parents=True)
    assert names(tree, "b.png", "empty", "deep") == ["b.png", "empty", "deep/[1].png", "deep/er/c.tif"]


def test_a_name_too_long_for_any_file_is_not_passed_over() -> None:
    assert list(find_sources(["x" * 5000])) == ["x" * 5000]


def test_an_empty_path_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="path is empty"):
        list(find_sources(["a.png", ""]))


def written(kind: type[JsonLines | JsonArray | Csv | FhirLines], answers: list[Prediction]) -> str:
    file = io.StringIO()
    writer: Writer = kind(file)
    for answer in answers:
        writer.write(answer)
    writer.close()
    return file.getvalue()


def test_lines_and_array_hold_the_same_objects() -> None:
    lines = [json.loads(line) for line in written(JsonLines, ANSWERS).splitlines()]
    assert lines == json.loads(written(JsonArray, ANSWERS))
    assert [line["source"] for line in lines] == [answer.source for answer in ANSWERS]


def test_fhir_is_one_bundle_a_line() -> None:
    bundles = [json.loads(line) for line in written(FhirLines, ANSWERS).splitlines()]
    assert [bundle["resourceType"] for bundle in bundles] == ["Bundle"] * len(ANSWERS)
    reports = [bundle["entry"][0]["resource"]["conclusion"] for bundle in bundles]
    assert "the file is empty" in reports[0]
    assert "Nothing, really." in reports[1]


def test_no_answers_are_an_empty_array() -> None:
    assert json.loads(written(JsonArray, [])) == []


def test_an_array_can_be_closed_wherever_it_was_interrupted() -> None:
    class Interrupted(io.StringIO):
        left = 0

        def write(self, text: str) -> int:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            return super().write(text)

    for left in range(1, 6):
        file = Interrupted()
        writer = JsonArray(file)
        file.left = left
        with contextlib.suppress(KeyboardInterrupt):
            for answer in ANSWERS:
                writer.write(answer)
        file.left = 0
        writer.close()
        assert len(json.loads(file.getvalue())) == min(left - 1, len(ANSWERS))


def test_csv_keeps_commas_quotes_and_line_breaks() -> None:
    rows = list(csv.DictReader(io.StringIO(written(Csv, ANSWERS))))
    assert [row["source"] for row in rows] == [answer.source for answer in ANSWERS]
    assert [row["code"] for row in rows] == ["empty_file", "blank"]


@pytest.mark.parametrize(
    ("output", "asked", "expected"),
    [
        (None, None, "table"),
        (Path("x.csv"), None, "csv"),
        (Path("x.JSON"), None, "json"),
        (Path("x.jsonl"), None, "jsonl"),
        (Path("x.txt"), None, "table"),
        (Path("x"), "csv", "csv"),
        (Path("x.log"), "jsonl", "jsonl"),
        (Path("x.ndjson"), None, "jsonl"),
        (Path("x.ndjson"), "fhir", "fhir"),
        (Path("folder"), "parquet", "parquet"),
    ],
)
def test_format_is_asked_for_or_told_by_the_suffix(
    output: Path | None, asked: Format | None, expected: str
) -> None:
    assert format_of(output, asked) == expected


@pytest.mark.parametrize(
    ("output", "asked", "message"),
    [
        ("x.xlsx", None, "no format: give --format"),
        ("x.csv", "json", "named like csv"),
        ("x.json", "jsonl", "named like json"),
        ("x.parquet", "table", "named like parquet"),
    ],
)
def test_no_format_is_written_under_the_name_of_another(
    output: str, asked: Format | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        format_of(Path(output), asked)
