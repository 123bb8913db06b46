from __future__ import annotations

import io
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import roc_curve

from pneumocascade.evaluation import charts
from pneumocascade.evaluation.chart_style import DARK, DPI, LIGHT, Theme, png, save
from pneumocascade.evaluation.metrics import calibration_bins

LABELS = np.array([0, 0, 1, 1, 0, 1, 1, 0])
PROBABILITY = np.array([0.1, 0.3, 0.2, 0.8, 0.6, 0.9, 0.7, 0.2])
ROWS = [
    {"epoch": 1, "size": 160, "train_loss": 0.7, "validation_loss": 0.6, "validation_auroc": math.nan},
    {"epoch": 2, "size": 160, "train_loss": 0.5, "validation_loss": 0.5, "validation_auroc": 0.91},
    {"epoch": 3, "size": 224, "train_loss": 0.4, "validation_loss": 0.45, "validation_auroc": 0.97},
    {"epoch": 4, "size": 224, "train_loss": 0.3, "validation_loss": 0.46, "validation_auroc": 0.96},
]


def texts(drawing: Figure) -> str:
    """Everything that is written inside and above the axes of a picture."""
    inside = [text.get_text() for axes in drawing.axes for text in axes.texts]
    return "\n".join([*inside, *(axes.get_title(loc="left") for axes in drawing.axes)])


def test_roc_shows_the_curve_and_the_operating_point() -> None:
    drawing = charts.roc(LABELS, PROBABILITY, 0.6, "Stage 1", subtitle="AUROC")
    diagonal, curve, point = drawing.axes[0].lines
    false_positive, true_positive, _ = roc_curve(LABELS, PROBABILITY, drop_intermediate=False)
    assert np.array_equal(curve.get_xdata(), false_positive)
    assert np.array_equal(curve.get_ydata(), true_positive)
    assert (point.get_xdata(), point.get_ydata()) == ([0.25], [0.75])
    assert "sensitivity 0.750, specificity 0.750" in str(point.get_label())
    assert np.array_equal(diagonal.get_xdata(), [0, 1])


def test_reliability_shows_the_bins_of_the_calibration_error_and_every_film() -> None:
    drawing = charts.reliability(LABELS, PROBABILITY, ("normal", "pneumonia"), "Stage 1")
    above, below = drawing.axes
    mean_probability, share = calibration_bins(LABELS, PROBABILITY, np.ones(8))
    assert np.array_equal(above.lines[1].get_xdata(), mean_probability)
    assert np.array_equal(above.lines[1].get_ydata(), share)
    assert sum(bar.get_height() for bar in below.patches) == 8  # type: ignore[attr-defined]


@pytest.mark.parametrize("classes", [2, 3])
def test_confusion_matrix_shows_films_and_shares_of_rows(classes: int) -> None:
    matrix = np.zeros((classes, classes))
    matrix[0, :2] = 3, 1
    written = texts(charts.confusion(matrix, ["a", "b", "c"][:classes], "Matrix"))
    assert "75.0%" in written
    assert "25.0%" in written
    assert "no film" in written  # of a row without any


def test_learning_curve_names_the_last_epoch_and_the_sizes() -> None:
    drawing = charts.learning_curve(ROWS)
    written = texts(drawing)
    assert "0.9600 after epoch 4" in written
    assert "160 px" in written
    assert "224 px" in written
    losses, aurocs = drawing.axes
    assert [line.get_label() for line in losses.lines] == ["training", "validation"]
    assert np.array_equal(aurocs.lines[0].get_xdata(), [1, 2, 3, 4])


def test_a_run_without_validation_films_shows_its_losses() -> None:
    drawing = charts.learning_curve(ROWS[:1])
    assert "AUROC" not in texts(drawing)
    assert len(drawing.axes[0].lines) == 2


def test_what_is_not_defined_is_said_in_the_picture() -> None:
    none = np.array([], np.int64)
    empty = np.array([], np.float64)
    assert "not defined" in texts(charts.roc(np.ones(3, np.int64), np.ones(3), 0.5, "Stage 2"))
    assert "not defined" in texts(charts.roc(none, empty, 0.5, "Stage 2"))
    assert "not defined" in texts(charts.reliability(none, empty, ("bacterial", "viral"), "Stage 2"))
    assert "no epoch" in texts(charts.learning_curve([]))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_picture_can_be_saved(theme: Theme, tmp_path: Path) -> None:
    none, empty = np.array([], np.int64), np.array([], np.float64)
    drawings = [
        charts.roc(LABELS, PROBABILITY, 0.5, "ROC", theme=theme),
        charts.roc(none, empty, 0.5, "ROC", theme=theme),
        charts.reliability(LABELS, PROBABILITY, ("a", "b"), "Reliability", theme=theme),
        charts.reliability(none, empty, ("a", "b"), "Reliability", theme=theme),
        charts.confusion(np.eye(3), ("a", "b", "c"), "Matrix", theme=theme),
        charts.confusion(np.zeros((2, 2)), ("a", "b"), "Matrix", theme=theme),
        charts.learning_curve(ROWS, theme=theme),
        charts.learning_curve(ROWS[:1], theme=theme),
        charts.learning_curve([], theme=theme),
    ]
    for drawing in drawings:
        path = tmp_path / "picture.png"
        save(drawing, path)
        with Image.open(path) as picture:
            width, height = drawing.get_size_inches()
            assert picture.size == (int(width * DPI), int(height * DPI))
            corner = picture.convert("RGB").getpixel((0, 0))
        assert isinstance(corner, tuple)
        assert "#{:02x}{:02x}{:02x}".format(*corner) == theme.paper


def test_a_picture_is_the_same_every_time() -> None:
    first, again = (png(charts.confusion(np.eye(2), ("a", "b"), "Matrix")) for _ in range(2))
    assert first == again
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.format == "PNG"


def test_matplotlib_is_loaded_only_for_pictures() -> None:
    code = (
        "import sys, pneumocascade.evaluation.evaluate, pneumocascade.evaluation.metrics\n"
        "print([name for name in ('matplotlib', 'sklearn', 'jinja2', 'torch') if name in sys.modules])\n"
        "import pneumocascade.evaluation.html\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["[]", "False"]
