"""From :class:`Prediction` to JSON and CSV: the one shape of answer that every door gives."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from pneumocascade.types import Prediction, Reason, StageResult, reasons_of

CSV_COLUMNS = (
    "source",
    "status",
    "finding",
    "aetiology",
    "probability_normal",
    "probability_pneumonia",
    "probability_bacterial",
    "probability_viral",
    "stage1_threshold",
    "stage2_threshold",
    "stage1_prediction_set",
    "stage2_prediction_set",
    "operating_point",
    "code",
    "message",
    "warnings",
    "model_version",
    "elapsed_ms",
    "prior",
    "familiarity",
)


def to_dict(prediction: Prediction) -> dict[str, Any]:
    """Return an answer as the JSON object that the interfaces promise.

    A refused or unread film has ``reasons`` or ``error`` and no finding.
    """
    row: dict[str, Any] = {"source": prediction.source, "status": prediction.status}
    if prediction.status == "ok":
        row["finding"] = prediction.finding
        row["aetiology"] = prediction.aetiology
        row["stage1"] = _stage(prediction.stage1)
        row["stage2"] = _stage(prediction.stage2)
        row["familiarity"] = prediction.familiarity
    elif prediction.status == "refused":
        row["reasons"] = [_reason(reason) for reason in prediction.reasons]
    elif prediction.error is not None:
        row["error"] = _reason(prediction.error)
    row["operating_point"] = prediction.operating_point
    row["prior"] = prediction.prior
    row["warnings"] = list(prediction.warnings)
    row["model_version"] = prediction.model_version
    row["elapsed_ms"] = prediction.elapsed_ms
    return row


def _stage(result: StageResult | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "probabilities": dict(result.probabilities),
        "label": result.label,
        "threshold": result.threshold,
        "prediction_set": list(result.prediction_set),
    }


def _reason(reason: Reason) -> dict[str, str]:
    return {"code": reason.code, "message": reason.message}


def to_json_line(prediction: Prediction) -> str:
    """Return an answer as one line of JSON."""
    return encodable(json.dumps(to_dict(prediction), ensure_ascii=False))


def encodable(text: str) -> str:
    """Escape what is not UTF-8 in a file's name (Python reads such bytes as lone surrogates)."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_csv_row(prediction: Prediction) -> dict[str, object]:
    """Return an answer as one row by ``CSV_COLUMNS``; what does not apply is empty.

    Text that a spreadsheet would take for a formula (OWASP, "CSV injection") gets an apostrophe in
    front, a carriage return becomes a backslash and an r, and a NUL, which not every reader of CSV takes, a
    backslash and a zero; JSON has the text as it is.
    """
    row = to_row(prediction)
    return {name: csv_text(value) if isinstance(value, str) else value for name, value in row.items()}


def to_row(prediction: Prediction) -> dict[str, object]:
    """Return an answer as one row by ``CSV_COLUMNS``, text as it is; what does not apply is empty text."""
    row: dict[str, object] = dict.fromkeys(CSV_COLUMNS, "")
    for name in ("source", "status", "operating_point", "model_version", "elapsed_ms", "prior"):
        row[name] = getattr(prediction, name)
    row["familiarity"] = "" if prediction.familiarity is None else prediction.familiarity
    row["finding"] = prediction.finding or ""
    row["aetiology"] = prediction.aetiology or ""
    for number, result in prediction.stages.items():
        row.update({f"probability_{label}": value for label, value in result.probabilities.items()})
        row[f"stage{number}_threshold"] = result.threshold
        row[f"stage{number}_prediction_set"] = " ".join(result.prediction_set)
    reasons = reasons_of(prediction)
    row["code"] = "; ".join(reason.code for reason in reasons)
    row["message"] = " ".join(reason.message for reason in reasons)
    row["warnings"] = "; ".join(prediction.warnings)
    return row


def csv_text(text: str) -> str:
    """Return text as a cell of a CSV file shows it; see :func:`to_csv_row`."""
    guarded = f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return encodable(guarded.replace("\r", "\\r").replace("\0", "\\0"))


def to_csv(predictions: Iterable[Prediction]) -> str:
    """Return answers as CSV text with a header line."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(to_csv_row(prediction) for prediction in predictions)
    return text.getvalue()
