"""The bundled examples are what the page says of them."""

from __future__ import annotations

import re

import pytest

from pneumocascade import Cascade
from pneumocascade.explain.verdict import is_borderline, verdict_of
from pneumocascade.web.examples import (
    EXAMPLE_FILMS,
    GROUPS,
    LEARNT_FROM,
    NEW,
    REFUSED,
    Example,
    analyse_example,
    example_films,
    example_tiles,
)

FOLDER = EXAMPLE_FILMS[0].path.parent


def test_every_film_of_the_folder_is_shown_and_described() -> None:
    assert sorted(example_films()) == sorted(FOLDER.rglob("*.jpeg"))
    described = (FOLDER / "README.md").read_text(encoding="utf-8")
    names = [path.name for path in example_films()]
    assert len(set(names)) == len(names)
    assert all(f"`{name}`" in described for name in names)
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 2**20


def test_tiles_are_marked_and_told_apart() -> None:
    films = example_films()
    html = example_tiles(films, 2)
    assert example_tiles(films, None).count('aria-pressed="true"') == 0
    assert html.count('aria-pressed="true"') == 1
    assert 'data-index="2"' in html.split('aria-pressed="true"')[0].rsplit("<button", 1)[1]
    labels = re.findall(r"<span>(.*?)</span>", html)
    assert len(set(labels)) == len(films)
    assert re.findall(r"<h3.*?>(.*?)</h3>", html) == list(GROUPS)


def test_the_first_example_is_right_and_clear(cascade: Cascade) -> None:
    answer = cascade.predict(EXAMPLE_FILMS[0].path)
    assert answer.stage1 is not None
    assert answer.finding == EXAMPLE_FILMS[0].reference
    assert not is_borderline(answer.stage1)


@pytest.mark.parametrize("example", EXAMPLE_FILMS, ids=lambda example: example.name)
def test_answers_are_right_but_where_the_label_says_wrong(cascade: Cascade, example: Example) -> None:
    analysis = analyse_example(cascade, example.path, "balanced")
    answer = analysis.prediction
    assert analysis.reference == example.reference
    if example.group == REFUSED:
        assert [reason.code for reason in answer.reasons] == ["rotated"]
        return
    right = answer.finding == ("normal" if example.reference == "normal" else "pneumonia")
    assert right == ("wrong" not in example.label)
    if example.group == LEARNT_FROM and example.reference in ("bacterial", "viral"):
        assert verdict_of(answer).tone == example.reference
    if example.group == NEW:
        assert "virus" not in example.name
