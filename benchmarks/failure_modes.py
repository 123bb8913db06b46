r"""Held-out films answered wrongly with the highest probability, and what they have in common.

    python benchmarks/failure_modes.py kermany224 --models build/models/held-out \
        --split build/models/fold1/split.json --output failures

Writes a contact sheet for each kind of error (film beside what spoke for the wrong label, one film a
patient), ``failures.csv`` with all wrong answers, and ``failures.json`` with what is printed, as tables in
Markdown: how many errors of each kind there are, and how often films answered wrongly have a property,
beside the films of the same reference standard that were answered rightly. Stage 2 is asked about all
films of pneumonia.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pneumocascade.datasets.films import LabelledFilm, Split, find_films
from pneumocascade.evaluation.judge_films import BATCH, JudgedFilm, judge_films
from pneumocascade.evaluation.shift_suite import choose_films
from pneumocascade.evaluation.subgroups import GROUPS, TITLES, groups_of
from pneumocascade.explain.saliency import overlay
from pneumocascade.imaging.read import read_radiograph
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT, Cascade
from pneumocascade.model.preprocess import prepare, to_eight_bit
from pneumocascade.types import StageResult

SIDE = 170
"""Height of a film on a sheet, and its largest width, in pixels."""

CAPTION = 34
GAP = 6
ACROSS = 6
"""Films in a row."""

NEAREST = 10
"""Training films that are compared with a film."""

Floats = NDArray[np.float64]
Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Kind:
    """One kind of error."""

    stage: int
    truth: str
    answer: str

    def __str__(self) -> str:
        return f"{self.truth} called {self.answer}"

    @property
    def slug(self) -> str:
        """The kind as part of a file name."""
        return str(self).replace(" ", "-")

    def truth_of(self, film: LabelledFilm) -> str | None:
        """Return what a film is by the reference standard, in the words of this stage."""
        return film.finding if self.stage == 1 else film.aetiology

    def result_of(self, row: JudgedFilm) -> StageResult | None:
        """Return what this stage says of a film; of true pneumonia stage 2 is always asked."""
        return row.prediction.stage1 if self.stage == 1 else row.stage2


KINDS = (
    Kind(1, "normal", "pneumonia"),
    Kind(1, "pneumonia", "normal"),
    Kind(2, "bacterial", "viral"),
    Kind(2, "viral", "bacterial"),
)


@dataclass(frozen=True)
class Answer:
    """What a stage said of a film that is of a kind's true label."""

    row: JudgedFilm
    result: StageResult
    wrong: bool

    @property
    def film(self) -> LabelledFilm:
        """The film."""
        return self.row.film


def answers_of(kind: Kind, judged: Sequence[JudgedFilm]) -> list[Answer]:
    """Return the answers to all films of the kind's true label, most probable wrong ones first."""
    found = [
        Answer(row, result, result.label == kind.answer)
        for row in judged
        if kind.truth_of(row.film) == kind.truth and (result := kind.result_of(row)) is not None
    ]
    return sorted(found, key=lambda answer: -answer.result.probabilities[kind.answer])


def worst_of(answers: Sequence[Answer], limit: int) -> list[Answer]:
    """Return the most probable wrong answers, one a patient."""
    one_each: dict[str, Answer] = {}
    for answer in answers:
        if answer.wrong:
            one_each.setdefault(answer.film.patient, answer)
    return list(one_each.values())[:limit]


def tile(kind: Kind, answer: Answer) -> Rgb:
    """Draw a film, what spoke for the wrong label over it, and a caption."""
    radiograph = read_radiograph(answer.film.path)
    scale = SIDE / max(radiograph.height, radiograph.width)
    size = (max(1, round(radiograph.width * scale)), max(1, round(radiograph.height * scale)))
    pixels = cv2.resize(to_eight_bit(radiograph.pixels), size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    small = replace(radiograph, pixels=pixels)
    canvas = Image.new("RGB", (2 * SIDE + 3 * GAP, SIDE + CAPTION + GAP), "#10151c")
    plain = np.repeat(pixels[..., None], 3, axis=2)
    for place, picture in enumerate((plain, overlay(small, answer.result, opacity=0.7))):
        canvas.paste(Image.fromarray(picture), (GAP + place * (SIDE + GAP), GAP))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    probability = f"P({kind.answer}) {answer.result.probabilities[kind.answer]:.3f}"
    draw.text((GAP, SIDE + GAP + 2), answer.film.name, "#fdfdfd", font)
    draw.text((GAP, SIDE + GAP + 17), probability, "#fdfdfd", font)
    return np.asarray(canvas)


def sheet(kind: Kind, answers: Sequence[Answer]) -> Rgb:
    """Draw films in rows; the last is filled up with black."""
    tiles = [tile(kind, answer) for answer in answers]
    across = min(ACROSS, len(tiles))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % across)
    rows = [np.concatenate(tiles[start : start + across], axis=1) for start in range(0, len(tiles), across)]
    return np.concatenate(rows)


def features_of(cascade: Cascade, stage: int, films: Sequence[LabelledFilm]) -> Floats:
    """Return the pooled last features of films, each of length 1, shape (N, C)."""
    model = cascade.model_of(stage)
    pooled = []
    for start in range(0, len(films), BATCH):
        radiographs = [read_radiograph(film.path) for film in films[start : start + BATCH]]
        batch = np.concatenate([prepare(radiograph, model.spec) for radiograph in radiographs])
        pooled.append(model.run(batch).features.mean(axis=(2, 3)))
    features = np.concatenate(pooled).astype(np.float64)
    normed: Floats = features / np.linalg.norm(features, axis=1, keepdims=True)
    return normed


class Neighbours:
    """Training films, one a patient and category, and how near a stage sees them to others."""

    def __init__(self, cascade: Cascade, films: Sequence[LabelledFilm], limit: int) -> None:
        self.cascade = cascade
        self.chosen = {
            1: choose_films(films, limit),
            2: choose_films([film for film in films if film.aetiology], limit),
        }
        self.features = {stage: features_of(cascade, stage, films) for stage, films in self.chosen.items()}

    def share_alike(self, kind: Kind, answers: Sequence[Answer]) -> Floats:
        """Return the share of each film's nearest training films that have its own true label."""
        alike = np.array([kind.truth_of(film) == kind.truth for film in self.chosen[kind.stage]])
        own = features_of(self.cascade, kind.stage, [answer.film for answer in answers])
        nearest = np.argsort(-own @ self.features[kind.stage].T, axis=1)[:, :NEAREST]
        share: Floats = alike[nearest].mean(axis=1)
        return share


def properties_of(
    kind: Kind, answers: Sequence[Answer], members: Counter[str], neighbours: Neighbours | None
) -> dict[str, Floats]:
    """Return by property what holds of each film: 1 or 0, or a share."""
    properties: dict[str, Floats] = {}
    groups = [
        groups_of(each.row, each.row.traits, members[each.film.patient])
        for each in answers
        if each.row.traits
    ]
    for grouping in ("marker", "detail", "resolution", "aspect", "films_per_patient"):
        for name in GROUPS[grouping]:
            held = np.array([group[grouping] == name for group in groups], np.float64)
            if 0 < held.sum() < len(held):
                properties[f"{TITLES[grouping]}: {name}"] = held
    wrong = Counter(answer.film.patient for answer in answers if answer.wrong)
    others = [wrong[answer.film.patient] - answer.wrong > 0 for answer in answers]
    properties["another film of the patient answered wrongly the same way"] = np.array(others, np.float64)
    if neighbours is not None:
        name = f"nearest {NEAREST} training films of the film's own label, mean share"
        properties[name] = neighbours.share_alike(kind, answers)
    return properties


def summary_of(kind: Kind, answers: Sequence[Answer], properties: dict[str, Floats]) -> dict[str, Any]:
    """Return counts of a kind, and the shares of its wrong and right answers that have each property."""
    wrong = np.array([answer.wrong for answer in answers])
    shares = {
        name: {"wrong": round(float(held[wrong].mean()), 4), "right": round(float(held[~wrong].mean()), 4)}
        for name, held in properties.items()
    }
    patients = len({answer.film.patient for answer in answers if answer.wrong})
    return {
        "kind": str(kind),
        "films": len(wrong),
        "wrong": int(wrong.sum()),
        "patients": patients,
        "shares": shares,
    }


def show(summaries: Sequence[dict[str, Any]]) -> None:
    """Print the tables."""
    print("| kind of error | films | answered so | share | patients |\n| --- | --- | --- | --- | --- |")
    for each in summaries:
        films, wrong = each["films"], each["wrong"]
        share = f"{wrong / films:.1%}" if films else ""
        print(f"| {each['kind']} | {films} | {wrong} | {share} | {each['patients']} |")
    for each in summaries:
        head = f"| {each['kind']} | wrong ({each['wrong']}) | right ({each['films'] - each['wrong']}) |"
        print(f"\n{head}\n| --- | --- | --- |")
        for name, share in each["shares"].items():
            print(f"| {name} | {share['wrong']:.0%} | {share['right']:.0%} |")


def write_list(path: Path, answers: dict[Kind, list[Answer]]) -> None:
    """Write all wrong answers with what is known of the films."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        shown = ("height", "width", "marker", "detail")
        writer.writerow(["kind", "film", "patient", "probability", "threshold", *shown])
        for kind, rows in answers.items():
            for answer in rows:
                traits = answer.row.traits
                if answer.wrong and traits is not None:
                    probability = round(answer.result.probabilities[kind.answer], 6)
                    film = [str(kind), answer.film.name, answer.film.patient]
                    threshold = answer.result.threshold
                    about = [traits.height, traits.width, traits.marker, round(traits.detail, 2)]
                    writer.writerow([*film, probability, threshold, *about])


def main() -> None:
    """Judge, draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of labelled films")
    parser.add_argument("--split", type=Path, required=True, help="of the run that made the models")
    parser.add_argument("--output", type=Path, required=True, help="folder for the sheets")
    parser.add_argument("--models", type=Path, help="by default the bundled ones")
    parser.add_argument("--operating-point", default=DEFAULT_OPERATING_POINT)
    parser.add_argument("--films", type=int, default=12, help="on a sheet, at most")
    parser.add_argument("--neighbours", type=int, default=600, help="training films to compare with; 0: none")
    parser.add_argument("--suffix", choices=(".png", ".jpg"), default=".png", help="of the sheets")
    given = parser.parse_args()
    cascade, split, films = Cascade.load(given.models), Split.load(given.split), find_films(given.data)
    given.output.mkdir(parents=True, exist_ok=True)
    held_out = [film for film in films if film.name in split.validation]
    judged = list(judge_films(held_out, cascade, given.operating_point))
    answers = {kind: answers_of(kind, judged) for kind in KINDS}
    write_list(given.output / "failures.csv", answers)
    for kind, rows in answers.items():
        if any(answer.wrong for answer in rows):
            picture = Image.fromarray(sheet(kind, worst_of(rows, given.films)))
            picture.save(given.output / f"{kind.slug}{given.suffix}", quality=82, optimize=True)
    training = [film for film in films if film.name in split.train]
    neighbours = Neighbours(cascade, training, given.neighbours) if given.neighbours and training else None
    members = Counter(film.patient for film in held_out)
    summaries = []
    for kind, rows in answers.items():
        both = 0 < sum(answer.wrong for answer in rows) < len(rows)
        properties = properties_of(kind, rows, members, neighbours) if both else {}
        summaries.append(summary_of(kind, rows, properties))
    about = {"model_version": cascade.version, "data": given.data.name, "films": len(held_out)}
    report = json.dumps(about | {"kinds": summaries}, indent=1)
    (given.output / "failures.json").write_text(report + "\n", encoding="utf-8")
    print(f"{len(held_out)} held-out films of {given.data.name}, models {cascade.version}\n")
    show(summaries)


if __name__ == "__main__":
    main()
