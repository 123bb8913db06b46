"""What a comparison leaves behind: ``comparison.json`` and one HTML page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pneumocascade.datasets.match import parts_of
from pneumocascade.errors import UsageError
from pneumocascade.evaluation.comparison_charts import paired_roc
from pneumocascade.evaluation.html import MEANINGS, page_figure
from pneumocascade.explain.html import environment
from pneumocascade.types import DISCLAIMER, encodable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

    from pneumocascade.evaluation.chart_style import Theme
    from pneumocascade.evaluation.compare import Comparison, PairedStage
    from pneumocascade.evaluation.html import PageFigure

COMPARISON_FILE = "comparison.json"
PAGE_FILE = "comparison.html"

LISTED = 200
"""Most films that a list on the page names; ``comparison.json`` names all."""

PARTS = {
    "stage1": "Stage 1: normal or pneumonia",
    "stage2": "Stage 2: bacterial or viral",
    "cascade": "Cascade: normal, bacterial or viral",
}
"""Parts of a comparison and their headings."""


def write_comparison(comparison: Comparison, output: Path) -> None:
    """Write ``comparison.json`` and ``comparison.html``.

    Parameters
    ----------
    comparison : Comparison
    output : Path
        A folder; made where there is none.

    Raises
    ------
    MissingExtraError
        Where Jinja2 is not installed.
    UsageError
        Where the folder cannot be made.
    """
    make_folder(output)
    text = encodable(json.dumps(comparison.report, indent=2, ensure_ascii=False, allow_nan=False))
    (output / COMPARISON_FILE).write_text(text + "\n", encoding="utf-8")
    page = encodable(render_comparison(comparison))
    (output / PAGE_FILE).write_text(page, encoding="utf-8")


def make_folder(output: Path) -> None:
    """Make the folder of a comparison.

    Raises
    ------
    UsageError
        Where that cannot be done.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {output} cannot be made: {error.strerror}") from error


def render_comparison(comparison: Comparison) -> str:
    """Return a comparison as one HTML page that needs no other file."""
    report = comparison.report
    pictures = {
        f"stage{stage.stage}": _draw(stage, report) for stage in comparison.stages if len(stage.labels)
    }
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(
            report=report,
            disclaimer=DISCLAIMER,
            parts=PARTS,
            headings={name: heading for name, (heading, _) in MEANINGS.items()},
            tests={part: texts_of_tests(report[part]) for part in PARTS},
            pictures=pictures,
            listed=LISTED,
            short=short_source,
        )
    )


def short_source(source: str) -> str:
    """Return the folder and the name of a film: a page that is passed on tells no further path."""
    return "/".join(parts_of(source)[-2:])


def texts_of_tests(part: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return p value, and films on which A alone and B alone was right, by figure of a part of a report.

    Both are text, for tables; the second is empty where it does not apply.
    """
    texts = {}
    for name, figure in part["figures"].items():
        if "delong" in figure:
            texts[name] = (_p_text(figure["delong"]["p"]), "")
        elif "mcnemar" in figure:
            test = figure["mcnemar"]
            texts[name] = (_p_text(test["p"]), f"{test['only_a_right']} : {test['only_b_right']}")
    return texts


def _p_text(p: float | None) -> str:
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _draw(paired: PairedStage, report: Mapping[str, Any]) -> PageFigure:
    figure = report[f"stage{paired.stage}"]["figures"]["auroc"]
    names = tuple(
        f"{side.upper()}: {report[side]['model_version']}, {report[side]['operating_point']}" for side in "ab"
    )
    values = [figure[side]["value"] for side in "ab"]
    areas = "AUROC not defined" if None in values else "AUROC A {:.3f}, B {:.3f}".format(*values)

    def drawn(theme: Theme) -> Figure:
        return paired_roc(paired, (names[0], names[1]), subtitle=areas, theme=theme)

    return page_figure(f"roc_stage{paired.stage}", f"ROC curves of stage {paired.stage}: {areas}", drawn)
