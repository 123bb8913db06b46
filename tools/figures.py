"""Write the figures of models and evaluations into the documents, between their markers.

    python tools/figures.py            # rewrites MODEL_CARD.md, README.md and docs/*.md
    python tools/figures.py --check    # exit status 1 where a document says something else

A block stands between ``<!-- figures: NAME -->`` and ``<!-- end -->``. Figures come from the bundled
models themselves and from what ``pneumocascade export`` and ``evaluate`` wrote, kept in ``docs/data``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speed_figures

from pneumocascade.evaluation.subgroups import TITLES
from pneumocascade.inference.cascade import Cascade
from pneumocascade.model.spec import OPERATING_POINTS, ModelSpec

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "data"
DOCUMENTS = (
    "MODEL_CARD.md",
    "README.md",
    "docs/training.md",
    "docs/robustness.md",
    *(f"docs/{name}.md" for name in ("subgroups", "failure-modes", "performance", "scale")),
)

NAMES = {
    "auroc": "AUROC",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "balanced_accuracy": "balanced accuracy",
    "ece": "expected calibration error",
    "brier": "Brier score",
    "coverage_normal": "coverage of the 90 % sets, normal",
    "coverage_pneumonia": "coverage of the 90 % sets, pneumonia",
    "coverage_bacterial": "coverage of the 90 % sets, bacterial",
    "coverage_viral": "coverage of the 90 % sets, viral",
    "undetermined": "sets that hold both labels",
}

BLOCK = re.compile(r"<!-- figures: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def stored(spec: ModelSpec, name: str) -> str:
    """Return a figure that a model carries, with its interval."""
    metrics = spec.metrics
    if name not in metrics:
        return ""
    return f"{metrics[name]:.3f} ({metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f})"


def written(figure: Mapping[str, Any]) -> str:
    """Return a figure of a JSON file, with its interval."""
    if figure["value"] is None:
        return "not defined"
    interval = " ({:.3f} to {:.3f})".format(*figure["ci95"]) if figure["ci95"] else ""
    return f"{figure['value']:.3f}{interval}"


def load(name: str) -> Any:
    """Read a JSON file of ``docs/data``."""
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def validation(cascade: Cascade) -> str:
    """Return the cross-fitted figures that the models carry."""
    specs = (cascade.stage1.spec, cascade.stage2.spec)
    rows = [["", "stage 1: pneumonia", "stage 2: viral"]]
    for name, title in NAMES.items():
        cells = [stored(spec, name) for spec in specs]
        if any(cells):
            rows.append([title, *cells])
    return (
        table(rows) + "\n\n" + "\n".join(f"Stage {s.stage}: {s.validation_data}.\n" for s in specs).rstrip()
    )


def headline(cascade: Cascade) -> str:
    """Return AUROC and accuracy of both stages."""
    rows = [["", "AUROC", "accuracy"]]
    for title, model in (
        ("stage 1: normal or pneumonia", cascade.stage1),
        ("stage 2: bacterial or viral", cascade.stage2),
    ):
        rows.append([title, stored(model.spec, "auroc"), stored(model.spec, "accuracy")])
    return table(rows)


def points(cascade: Cascade) -> str:
    """Return the operating points with the figures of the films they were chosen on."""
    head = ["", "stage 1: pneumonia from", "sensitivity", "specificity"]
    rows = [[*head, "stage 2: viral from", "sensitivity", "specificity"]]
    for name in OPERATING_POINTS:
        row = [f"`{name}`"]
        for model in (cascade.stage1, cascade.stage2):
            point = model.spec.operating_points[name]
            row += [f"{value:.3f}" for value in (point.threshold, point.sensitivity, point.specificity)]
        rows.append(row)
    return table(rows)


def evaluations(_cascade: Cascade) -> str:
    """Return what ``evaluate`` measured on the validation films and on the originals."""
    reports = [load("evaluation-224.json"), load("evaluation-original.json")]
    commands = ("evaluate kermany224 --split docs/data/split.json", "evaluate kermany-original")
    rows = [["", *(f"`{command}`" for command in commands)]]
    rows.append(["films", *(str(report["films"]["n"]) for report in reports)])
    rows.append(["refused", *(str(report["refused"]["n"]) for report in reports)])
    for part, title in (("stage1", "stage 1"), ("stage2", "stage 2")):
        rows += [
            [f"{title}: {NAMES[name]}", *(written(report[part][name]) for report in reports)]
            for name in ("auroc", "accuracy", "sensitivity", "specificity", "ece")
        ]
    for name, title in (("accuracy", "three-way accuracy"), ("macro_f1", "three-way macro F1")):
        rows.append([title, *(written(report["cascade"][name]) for report in reports)])
    return table(rows)


EVALUATIONS = {"kermany224": "evaluation-224.json", "kermany-original": "evaluation-original.json"}
"""What ``evaluate`` wrote of each data set."""


def patients(_cascade: Cascade) -> str:
    """Return figures over films beside those over patients."""
    reports = {name: load(file) for name, file in EVALUATIONS.items()}
    rows = [["", *(f"`{name}`, over {unit}" for name in reports for unit in ("films", "patients"))]]
    for part, figure, title in (
        ("stage1", "auroc", "stage 1: AUROC"),
        ("stage1", "accuracy", "stage 1: accuracy"),
        ("stage2", "auroc", "stage 2: AUROC"),
        ("stage2", "accuracy", "stage 2: accuracy"),
        ("cascade", "accuracy", "three-way accuracy"),
    ):
        cells = [
            written(weighed[part][figure])
            for report in reports.values()
            for weighed in (report, report["patient_weighted"])
        ]
        rows.append([title, *cells])
    return table(rows)


def aetiologies(_cascade: Cascade) -> str:
    """Return by reference standard what was called pneumonia and what was answered rightly."""
    rows = [["", "reference standard", "films", "called pneumonia", "answered rightly, three-way"]]
    for name, file in EVALUATIONS.items():
        for category, part in load(file)["subgroups"]["aetiology"].items():
            called, right = part["stage1"]["called_pneumonia"], part["cascade"]["accuracy"]
            films = str(part["films"]["n"])
            rows.append([f"`{name}`", category, films, written(called), written(right)])
    return table(rows)


def subgroups(data: str) -> str:
    """Return the figures of one data set's subgroups, where there is more than one to compare."""
    head = ["subgroup", "films (normal, bacterial, viral)", "patients"]
    head += ["stage 1: AUROC", "sensitivity", "specificity"]
    rows = [[*head, "stage 2: AUROC", "accuracy", "three-way accuracy"]]
    for grouping, parts in load(EVALUATIONS[data])["subgroups"].items():
        if grouping == "aetiology" or len(parts) < 2:
            continue
        for name, part in parts.items():
            count = part["films"]["by_category"]
            mixture = ", ".join(str(count.get(each, 0)) for each in ("normal", "bacterial", "viral"))
            figures = [part["stage1"][each] for each in ("auroc", "sensitivity", "specificity")]
            figures += [part["stage2"]["auroc"], part["stage2"]["accuracy"], part["cascade"]["accuracy"]]
            cells = ["" if figure["value"] is None else written(figure) for figure in figures]
            films = f"{part['films']['n']} ({mixture})"
            rows.append([f"{TITLES[grouping]}: {name}", films, str(part["films"]["patients"]), *cells])
    return table(rows)


def failures(_cascade: Cascade) -> str:
    """Return how many held-out films were answered wrongly, by kind of error."""
    rows = [["kind of error", "films", "answered so", "share", "patients"]]
    for each in load("failure-modes.json")["kinds"]:
        share = f"{each['wrong'] / each['films']:.1%}"
        rows.append(
            [each["kind"], *(str(each[key]) for key in ("films", "wrong")), share, str(each["patients"])]
        )
    return table(rows)


def failure(kind: str) -> str:
    """Return what films of one kind of error have in common."""
    each = next(part for part in load("failure-modes.json")["kinds"] if part["kind"] == kind)
    rows = [["share of the films", f"wrong ({each['wrong']})", f"right ({each['films'] - each['wrong']})"]]
    rows += [
        [name, f"{share['wrong']:.0%}", f"{share['right']:.0%}"] for name, share in each["shares"].items()
    ]
    return table(rows)


def shift(_cascade: Cascade) -> str:
    """Return clean, mean and worst figures of the shift suite."""
    report = load("shift.json")
    rows = [["", "clean", "mean of all shifts", "worst", "worst under"]]
    for part, title in (("stage1", "stage 1"), ("stage2", "stage 2")):
        for name in ("auroc", "accuracy", "balanced_accuracy", "ece"):
            figure = report[part]["summary"][name]
            values = [f"{figure[key]:.3f}" for key in ("clean", "mean", "worst")]
            rows.append([f"{title}: {NAMES[name]}", *values, figure["under"]])
    return table(rows)


def shifted(_cascade: Cascade) -> str:
    """Return cross-fitted figures on clean and on shifted held-out films."""
    report = load("export.json")
    rows = [["", "stage 1, clean", "stage 1, shifted", "stage 2, clean", "stage 2, shifted"]]
    for name, title in NAMES.items():
        cells = [
            written(report[stage][films][name]) if name in report[stage][films] else ""
            for stage in ("stage1", "stage2")
            for films in ("cross_fitted", "cross_fitted_shifted")
        ]
        rows.append([title, *cells])
    return table(rows)


def quantisation(_cascade: Cascade) -> str:
    """Return the AUROC of the models in float32 and INT8."""
    report = load("export.json")
    rows = [["AUROC", "float32 (94 MB)", "INT8 (24 MB)"]]
    for stage, title in (("stage1", "stage 1"), ("stage2", "stage 2")):
        rows.append(
            [title, *(f"{report[stage][f'auroc_{kind}']['value']:.4f}" for kind in ("float32", "int8"))]
        )
    return table(rows)


BLOCKS: dict[str, Callable[[Cascade], str]] = {
    "validation": validation,
    "headline": headline,
    "points": points,
    "evaluations": evaluations,
    "shift": shift,
    "shifted": shifted,
    "quantisation": quantisation,
    "failures": failures,
    "failures_normal_called_pneumonia": lambda _: failure("normal called pneumonia"),
    "failures_pneumonia_called_normal": lambda _: failure("pneumonia called normal"),
    "failures_bacterial_called_viral": lambda _: failure("bacterial called viral"),
    "failures_viral_called_bacterial": lambda _: failure("viral called bacterial"),
    "patients": patients,
    "aetiologies": aetiologies,
    "subgroups_224": lambda _: subgroups("kermany224"),
    "subgroups_original": lambda _: subgroups("kermany-original"),
    **speed_figures.blocks(
        lambda: (
            load("speed.json")
            | {
                "variants": load("speed-variants.json"),
                "many": load("many-files.json"),
                "keras": load("speed-keras.json"),
            }
        ),
        table,
    ),
}


def filled(text: str, cascade: Cascade) -> str:
    """Return a document with all its blocks written anew."""

    def block(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"<!-- figures: {name} -->\n{BLOCKS[name](cascade)}\n<!-- end -->"

    return BLOCK.sub(block, text)


def main() -> int:
    """Rewrite or check all documents."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    cascade = Cascade.load()
    stale = []
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text(encoding="utf-8")
        new = filled(text, cascade)
        if new != text:
            stale.append(name)
            if not check:
                path.write_text(new, encoding="utf-8")
    print(("out of date: " if check else "rewritten: ") + (", ".join(stale) or "none"))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
