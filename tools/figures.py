"""Write the figures of models and evaluations into the documents, between their markers.

    python tools/figures.py            # rewrites MODEL_CARD.md, README.md and docs/*.md
    python tools/figures.py --check    # exit status 1 where a document says something else

A block stands between ``<!-- figures: NAME -->`` and ``<!-- end -->``. Figures come from the bundled
models themselves and from what ``make models`` and ``pneumocascade evaluate`` wrote, kept in ``docs/data``.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import speed_figures

from pneumocascade.datasets.films import patient_of
from pneumocascade.evaluation.metrics import predictive_values
from pneumocascade.evaluation.subgroups import TITLES
from pneumocascade.evaluation.utility import PREVALENCES
from pneumocascade.inference.cascade import Cascade
from pneumocascade.model.spec import OPERATING_POINTS

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "docs" / "data"
DOCUMENTS = (
    "MODEL_CARD.md",
    "README.md",
    "docs/training.md",
    "docs/datasheet.md",
    "docs/experiments.md",
    "docs/gate.md",
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
    "unlike": "empty sets",
}

DOMAINS = {"main": "children (Kermany 2018)", "nih": "mostly adults (NIH ChestX-ray14)"}
"""What the documents call the sources of films."""

EVALUATIONS = {
    "kermany224": "evaluation-224.json",
    "kermany-512": "evaluation-512.json",
    "kermany-original": "evaluation-original.json",
    "nih": "evaluation-nih.json",
}
"""What ``evaluate`` wrote of each folder."""

BLOCK = re.compile(r"<!-- figures: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def written(figure: Mapping[str, Any]) -> str:
    """Return a figure of a JSON file, with its interval."""
    if figure["value"] is None:
        return "not defined"
    interval = " ({:.3f} to {:.3f})".format(*figure["ci95"]) if figure["ci95"] else ""
    return f"{figure['value']:.3f}{interval}"


def load(name: str) -> Any:
    """Read a JSON file of ``docs/data``."""
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def cross_fitted(stage: str, group: str) -> dict[str, Any]:
    """Return the out-of-fold figures of a stage on one group of films."""
    figures: dict[str, Any] = load("export.json")[stage]["cross_fitted"][group]
    return figures


def headline(_cascade: Cascade) -> str:
    """Return the main figures of both stages, by source of the films."""
    names = ("auroc", "accuracy", "sensitivity", "specificity")
    rows = [["", *(NAMES[name] for name in names)]]
    for stage, group, title in (
        ("stage1", "main", f"stage 1, {DOMAINS['main']}"),
        ("stage1", "nih", f"stage 1, {DOMAINS['nih']}"),
        ("stage2", "main", f"stage 2, {DOMAINS['main']}"),
    ):
        figures = cross_fitted(stage, group)
        rows.append([title, *(written(figures[name]) for name in names)])
    return table(rows)


def out_of_fold(stage: str, groups: Mapping[str, str]) -> str:
    """Return all out-of-fold figures of a stage; ``groups``: title of each column by group."""
    measured = [cross_fitted(stage, group) for group in groups]
    rows = [["", *groups.values()]]
    for name, title in NAMES.items():
        cells = [written(figures[name]) if name in figures else "" for figures in measured]
        if any(cells):
            rows.append([title, *cells])
    return f"{table(rows)}\n\n{load('export.json')[stage]['data'].capitalize()}."


def three_way(_cascade: Cascade) -> str:
    """Return how often normal, bacterial and viral films get the right answer of the three."""
    names = {
        "accuracy": "all films",
        "recall_normal": "normal",
        "recall_bacterial": "bacterial",
        "recall_viral": "viral",
    }
    figures = load("three-way.json")
    return table([["", *names.values()], ["answered rightly", *(written(figures[name]) for name in names)]])


def predictive(_cascade: Cascade) -> str:
    """Return predictive values of stage 1 at several prevalences, by its sensitivity and specificity."""
    pairs = [(domain, kind) for domain in DOMAINS for kind in ("PPV", "NPV")]
    rows = [["prevalence of pneumonia", *(f"{DOMAINS[domain]}: {kind}" for domain, kind in pairs)]]
    for prevalence in PREVALENCES:
        cells = []
        for domain in DOMAINS:
            figures = cross_fitted("stage1", domain)
            sensitivity, specificity = (figures[name]["value"] for name in ("sensitivity", "specificity"))
            cells += [f"{value:.2f}" for value in predictive_values(sensitivity, specificity, prevalence)]
        rows.append([f"{prevalence:.0%}", *cells])
    return table(rows)


def points(cascade: Cascade) -> str:
    """Return the operating points of stage 1 with the figures of the films they were chosen on."""
    rows = [["", "pneumonia from", "sensitivity", "specificity"]]
    for name in OPERATING_POINTS:
        point = cascade.stage1.spec.operating_points[name]
        values = (point.threshold, point.sensitivity, point.specificity)
        rows.append([f"`{name}`", *(f"{value:.3f}" for value in values)])
    return table(rows)


def folds(_cascade: Cascade) -> str:
    """Return how many films of which kind each fold holds."""
    fold_of = load("folds.json")
    kinds = ("normal", "bacterial", "viral")
    rows = [["fold", "films of children", *kinds, "patients", "films of NIH", "patients"]]
    for number in sorted(set(fold_of.values())):
        names = {name for name, fold in fold_of.items() if fold == number}
        nih = {name for name in names if name[0].isdigit()}
        own = names - nih
        count = Counter(
            "bacterial" if "bacteria" in name else "viral" if "virus" in name else "normal" for name in own
        )
        counts = [len(own), *(count[kind] for kind in kinds), len(set(map(patient_of, own)))]
        counts += [len(nih), len(set(map(patient_of, nih)))]
        rows.append([str(number), *(f"{each:,}" for each in counts)])
    return table(rows)


def epochs(stage: str) -> str:
    """Return input size, loss and validation AUROC of each epoch of the runs of a stage."""
    rows = [["run", "epoch", "input", "loss", "validation AUROC", "minutes"]]
    for folder, stages in load("training.json").items():
        for each in stages[stage]["epochs"]:
            auroc = each["validation_auroc"]
            rows.append(
                [
                    "student" if folder == "student" else f"teacher of fold {folder[-1]}",
                    str(each["epoch"]),
                    str(each["size"]),
                    f"{each['train_loss']:.3f}",
                    "" if auroc is None or math.isnan(auroc) else f"{auroc:.4f}",
                    f"{each['seconds'] / 60:.1f}",
                ]
            )
    return table(rows)


def kept(benchmark: str) -> dict[str, Callable[[Cascade], str]]:
    """Return the tables that a benchmark kept, by the names of their blocks."""

    def block(rows: Sequence[Sequence[str]]) -> Callable[[Cascade], str]:
        return lambda _: table(rows)

    return {
        f"{benchmark}_{re.sub('[ -]', '_', name)}": block(each["rows"])
        for name, each in load(f"{benchmark}.json").items()
    }


def evaluations(_cascade: Cascade) -> str:
    """Return what ``evaluate`` measured on the films of the first fold in each folder."""
    reports = {name: load(file) for name, file in EVALUATIONS.items()}
    rows = [["", *(f"`{name}`" for name in reports)]]
    rows.append(["films", *(str(report["films"]["n"]) for report in reports.values())])
    rows.append(["refused", *(str(report["refused"]["n"]) for report in reports.values())])
    for part, title in (("stage1", "stage 1"), ("stage2", "stage 2")):
        rows += [
            [f"{title}: {NAMES[name]}", *(written(report[part][name]) for report in reports.values())]
            for name in ("auroc", "accuracy", "sensitivity", "specificity", "ece")
        ]
    for name, title in (("accuracy", "three-way accuracy"), ("macro_f1", "three-way macro F1")):
        rows.append([title, *(written(report["cascade"][name]) for report in reports.values())])
    typed = [report["stage2"]["auroc"]["value"] is not None for report in reports.values()]
    for row in rows[-7:]:  # of films without an aetiology there is nothing to say of stage 2
        row[1:] = [cell if known else "" for cell, known in zip(row[1:], typed, strict=True)]
    return table(rows)


def renderings(_cascade: Cascade) -> str:
    """Return out-of-fold figures of the same films as they are in each folder."""
    folders = ("kermany224", "kermany-512", "kermany-original")
    names = ("auroc", "accuracy", "sensitivity", "specificity", "ece")
    rows = [["", *(NAMES[name] for name in names)]]
    for stage in ("stage1", "stage2"):
        for folder in folders:
            figures = cross_fitted(stage, f"main {folder}")
            rows.append([f"stage {stage[-1]}, `{folder}`", *(written(figures[name]) for name in names)])
    return table(rows)


def patients(_cascade: Cascade) -> str:
    """Return figures over films beside those over patients."""
    reports = {name: load(EVALUATIONS[name]) for name in ("kermany224", "kermany-original")}
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


def quantisation(_cascade: Cascade) -> str:
    """Return the AUROC of the teachers on their own folds in float32 and INT8."""
    rows = [["AUROC", "float32 (94 MB)", "INT8 (24 MB)"]]
    for stage, costs in load("int8.json").items():
        for number, cost in enumerate(costs, 1):
            values = (f"{cost[kind]['value']:.4f}" for kind in ("float32", "int8"))
            rows.append([f"stage {stage[-1]}, fold {number}", *values])
    return table(rows)


BLOCKS: dict[str, Callable[[Cascade], str]] = {
    "headline": headline,
    "stage1": lambda _: out_of_fold(
        "stage1",
        {
            "main": "children",
            "nih": "NIH",
            "main shifted": "children, strongest shifts",
            "nih shifted": "NIH, strongest shifts",
        },
    ),
    "stage2": lambda _: out_of_fold(
        "stage2",
        {"main": "over films", "main by patient": "over patients", "main shifted": "strongest shifts"},
    ),
    "renderings": renderings,
    "three_way": three_way,
    "predictive": predictive,
    "points": points,
    "folds": folds,
    "epochs_stage1": lambda _: epochs("stage1"),
    "epochs_stage2": lambda _: epochs("stage2"),
    "evaluations": evaluations,
    "shift": shift,
    "quantisation": quantisation,
    **kept("gate"),
    **kept("saliency"),
    **kept("shortcuts"),
    **kept("detail"),
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
                "page": load("page.json"),
                "actors": load("actors.json"),
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
