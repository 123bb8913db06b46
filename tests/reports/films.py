"""Answers of every kind, with their films, for the tests of reports."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import numpy as np

from pneumocascade import Cascade, Prediction, Radiograph, read_radiograph
from pneumocascade.types import Acquisition
from tests.conftest import EXAMPLES

MADE = datetime(2026, 11, 23, 9, 30, tzinfo=timezone.utc)

HOSTILE = (
    '<script>alert(1)</script>"><img src=http://127.0.0.1:9/x onerror=alert(2)>'
    "' style='background:url(file:///etc/hostname)' \u202efdp.\x00\n\udcff &amp; {{ 7 * 7 }}.png"
)
"""A file name that is mark-up, in every context it could be put into."""

Items = list[tuple[Prediction, Radiograph | None]]


def every_outcome(cascade: Cascade) -> Items:
    """Return a normal, a bacterial of undetermined type, a viral, a refused and an unreadable film."""
    normal, bacterial, viral = (read_radiograph(EXAMPLES[i], EXAMPLES[i].name) for i in (1, 2, 3))
    turned = Radiograph(np.ascontiguousarray(normal.pixels.T.astype(np.uint8)), "turned.png")
    films = [normal, bacterial, viral, turned]
    items: Items = [(cascade.predict(film), film) for film in films]
    items[2] = (_as_viral(items[2][0]), viral)  # none of the examples is called viral
    return [*items, (cascade.predict(b"no picture", name="broken.png"), None)]


def _as_viral(answer: Prediction) -> Prediction:
    """Return an answer with the probabilities of stage 2 exchanged, and the label that follows."""
    assert answer.stage2 is not None
    assert answer.stage2.label == "bacterial"
    values = list(answer.stage2.probabilities.values())[::-1]
    probabilities = dict(zip(answer.stage2.probabilities, values, strict=True))
    result = replace(answer.stage2, probabilities=probabilities, label="viral", prediction_set=("viral",))
    return replace(answer, aetiology="viral", stage2=result)


def acquired(film: Radiograph) -> Radiograph:
    """Return a film as if it had come as DICOM."""
    said = Acquisition("DX", "CHEST", "PA", "U", 73.0, "1.2.840.10008.5.1.4.1.1.1.1", "1.2.826.0.1.4242")
    return replace(film, acquisition=said)
