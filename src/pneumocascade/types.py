"""The frozen records that pass between the folders of this package, and the words that go with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import UsageError
from pneumocascade.i18n import gettext_noop

DISCLAIMER = gettext_noop("Research demonstration only. Not intended for medical diagnosis.")

UNDETERMINED = "type undetermined"
"""Stands beside an aetiology that is a label alone: it may be the other one, or no pneumonia at all."""

NEITHER = gettext_noop("neither label")
"""In place of the labels of an empty prediction set."""

NO_STAGE2 = gettext_noop("These models have no stage 2: they do not tell the aetiology.")
"""What is said in place of stage 2's answers and figures where stage 1 is alone."""

Status = Literal["ok", "refused", "error"]

ROW_COLUMNS = (
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
"""Columns of an answer as one row."""

RENDERERS: dict[str, Callable[[Prediction], Any]] = {}
"""What shows an answer as ``html`` or as a ``plot``; :mod:`pneumocascade.explain.card` puts it in."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What a DICOM object says of how its film was made; nothing in it tells who the patient is.

    Attributes
    ----------
    modality : str
        ``"CR"``, ``"DX"``, ``"SC"``...; as in the object, upper case; empty where it is not said.
    body_part, view_position, laterality : str
        As in the object, upper case, or its coded equivalent; empty where it is not said.
    age_years : float or None
        Of the patient when the film was made.
    sop_class_uid, sop_instance_uid : str
        Of the object.
    photometric : str
        Photometric interpretation, such as ``"MONOCHROME1"``; empty where it is not said.
    voi : {"window", "lut", "histogram", "range", ""}
        What the grey values were shown by: a window or VOI LUT of the object, a window from the histogram, or
        the whole range of values; empty for a film in colour.
    window : tuple of float or None
        Centre and width of the window in use, in values after the modality transformation.
    pixel_spacing : tuple of float or None
        Millimetres between rows and between columns.
    burned_in : {"YES", "NO", ""}
        Whether the object says that its pixels hold text that tells who the patient is.
    study_instance_uid : str
        Of the study that the object belongs to.
    """

    modality: str = ""
    body_part: str = ""
    view_position: str = ""
    laterality: str = ""
    age_years: float | None = None
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    photometric: str = ""
    voi: str = ""
    window: tuple[float, float] | None = None
    pixel_spacing: tuple[float, float] | None = None
    burned_in: str = ""
    study_instance_uid: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """What a display copy keeps of the film that it was made of.

    Attributes
    ----------
    height, width : int
        In pixels.
    bits : int
        Of a pixel as it was read, 8 or 16.
    square : ndarray of uint8, shape (S, S)
        The film as the models' preprocessing stretches it.
    margin : float
        Share of each side that was left out of the square.
    """

    height: int
    width: int
    bits: int
    square: NDArray[np.uint8]
    margin: float


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """One film as the grey picture that a viewer would show.

    Attributes
    ----------
    pixels : ndarray of uint8 or uint16, shape (H, W)
        Upright; 0 is black, the dtype's maximum is white.
    source : str
        Path, or what the film was given as.
    colourfulness : float
        Mean difference between the largest and the smallest of red, green and blue, 0..255;
        0 for a grey film.
    warnings : tuple of str
        What had to be assumed while reading.
    acquisition : Acquisition or None
        ``None`` for a film that did not come as DICOM.
    original : Original or None
        Of a display copy (:func:`pneumocascade.model.preprocess.display_copy`); ``None`` for the film itself.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    source: str
    colourfulness: float = 0.0
    warnings: tuple[str, ...] = ()
    acquisition: Acquisition | None = None
    original: Original | None = None

    def __post_init__(self) -> None:
        known = self.pixels.dtype in (np.uint8, np.uint16)
        if self.pixels.ndim != 2 or self.pixels.size == 0 or not known:
            raise UsageError(
                f"a Radiograph's pixels are uint8 or uint16 of shape (H, W), not {self.pixels.dtype} of "
                f"shape {self.pixels.shape}; read_radiograph makes one of other arrays"
            )

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def size_read(self) -> tuple[int, int]:
        """Height and width of the film as it was read, in pixels."""
        return (
            (self.height, self.width)
            if self.original is None
            else (self.original.height, self.original.width)
        )

    @property
    def bits_read(self) -> int:
        """Bits of a pixel of the film as it was read."""
        return 8 * self.pixels.dtype.itemsize if self.original is None else self.original.bits


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a film was refused or could not be read.

    Attributes
    ----------
    code : str
        Machine-readable, for instance ``"too_small"``.
    message : str
        One sentence for people.
    """

    code: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the fields as JSON-ready values."""
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class StageResult:
    """What one stage said of a film.

    Attributes
    ----------
    probabilities : mapping of str to float
        Calibrated probability of each label, the negative one first; they sum to 1.
    label : str
        The positive label (``pneumonia``, ``viral``) where its probability is at or above
        ``threshold``, else the other.
    threshold : float
        Of the operating point in use, 0..1.
    prediction_set : tuple of str
        Labels for which the probability is not unusual: of the films of each class, 90 % have their label in
        it. ``label`` is a member; empty where the probability is unusual for both.
    activation_map : ndarray of float32, shape (h, w), or None
        Contribution of each place of the film to the calibrated log-odds of the positive label; see
        :mod:`pneumocascade.explain.saliency`. ``None`` where the model has none. Not part of the JSON.
    margin : float
        Share of height and width on each side of the film that the map does not cover: the network did
        not see it. Not part of the JSON.
    logits : tuple of float, length 2, or None
        What the network gave, the negative label first: ``Cascade.rejudge`` starts from them. ``None`` for an
        answer that was not made by a model here. Not part of the JSON.
    domain : str or None
        Whose films this one resembles, as the gate tells, for the prediction set. Not part of the JSON.
    """

    probabilities: Mapping[str, float] = field(hash=False)
    label: str
    threshold: float
    prediction_set: tuple[str, ...]
    activation_map: NDArray[np.float32] | None = field(default=None, compare=False, repr=False)
    margin: float = 0.0
    logits: tuple[float, float] | None = field(default=None, compare=False, repr=False)
    domain: str | None = field(default=None, compare=False, repr=False)

    @property
    def positive(self) -> str:
        """The label that ``threshold`` is for: the second of ``probabilities``, as a model names them."""
        return list(self.probabilities)[1]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of the JSON as JSON-ready values."""
        return {
            "probabilities": dict(self.probabilities),
            "label": self.label,
            "threshold": self.threshold,
            "prediction_set": list(self.prediction_set),
        }


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one film, whichever way it came in.

    Attributes
    ----------
    source : str
        Path, or what the film was given as.
    status : {"ok", "refused", "error"}
        ``refused``: the gate would not judge it; ``error``: it could not be read.
    finding : {"normal", "pneumonia"} or None
        ``None`` unless ``status`` is ``"ok"``.
    aetiology : {"bacterial", "viral"} or None
        ``None`` where the finding is not pneumonia.
    stage1, stage2 : StageResult or None
        ``None`` for a stage that did not run.
    operating_point : str
        Name of the operating point in use.
    warnings : tuple of str
        What a reader of the answer should know.
    model_version : str
        Version of the models.
    elapsed_ms : float
        Wall-clock time spent on this film, in milliseconds; for a film of a batch, its share.
    reasons : tuple of Reason
        Why it was refused; empty otherwise.
    error : Reason or None
        Why it could not be read.
    pixels_sha256 : str
        Of the film's grey values as they were judged, row by row; empty where it could not be read. Not
        part of the JSON.
    acquisition : Acquisition or None
        ``None`` for a film that did not come as DICOM. Not part of the JSON.
    display : Radiograph or None
        What people are shown of the film, 8 bits and bounded in size, where it was asked for
        (``Cascade.predict(..., display=True)``) and the film could be read. Not part of the JSON.
    prior : float
        Share of pneumonia, 0..1, that stage 1's probabilities hold for.
    familiarity : float or None
        Share, 0..1, of the films learnt from that are less typical of their hospital than this film; low
        where it is unlike all of them. ``None`` unless ``status`` is ``"ok"``, and for models without a gate.
    rejudged : bool
        Whether it was judged again from a former answer (``Cascade.rejudge``): the film was not given to
        stage 1 a second time. Not part of the JSON.
    """

    source: str
    status: Status
    operating_point: str
    model_version: str
    finding: str | None = None
    aetiology: str | None = None
    stage1: StageResult | None = None
    stage2: StageResult | None = None
    warnings: tuple[str, ...] = ()
    elapsed_ms: float = 0.0
    reasons: tuple[Reason, ...] = ()
    error: Reason | None = None
    pixels_sha256: str = ""
    acquisition: Acquisition | None = None
    display: Radiograph | None = field(default=None, compare=False, repr=False)
    prior: float = 0.5
    familiarity: float | None = None
    rejudged: bool = field(default=False, compare=False)

    @property
    def outcome(self) -> str:
        """The answer in one word: the aetiology, else the finding, else the status."""
        return self.aetiology or self.finding or self.status

    @property
    def stages(self) -> dict[int, StageResult]:
        """The results of the stages that ran, by their number."""
        results = {1: self.stage1, 2: self.stage2}
        return {number: result for number, result in results.items() if result is not None}

    @property
    def undetermined(self) -> bool:
        """Whether stage 2 ran and its prediction set does not hold exactly one aetiology.

        This is of the prediction set of stage 2 alone. Headlines, reports and tables go by
        :func:`pneumocascade.explain.verdict.named_aetiology`, which looks at both stages.
        """
        return self.stage2 is not None and len(self.stage2.prediction_set) != 1

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as the JSON object that the interfaces promise.

        A refused or unread film has ``reasons`` or ``error`` and no finding.
        """
        row: dict[str, Any] = {"source": self.source, "status": self.status}
        if self.status == "ok":
            row["finding"] = self.finding
            row["aetiology"] = self.aetiology
            row["stage1"] = self.stage1.to_dict() if self.stage1 else None
            row["stage2"] = self.stage2.to_dict() if self.stage2 else None
            row["familiarity"] = self.familiarity
        elif self.status == "refused":
            row["reasons"] = [reason.to_dict() for reason in self.reasons]
        elif self.error is not None:
            row["error"] = self.error.to_dict()
        row["operating_point"] = self.operating_point
        row["prior"] = self.prior
        row["warnings"] = list(self.warnings)
        row["model_version"] = self.model_version
        row["elapsed_ms"] = self.elapsed_ms
        return row

    def to_json(self) -> str:
        """Return the answer as one line of JSON."""
        return encodable(json.dumps(self.to_dict(), ensure_ascii=False))

    def to_row(self) -> dict[str, object]:
        """Return the answer as one row by ``ROW_COLUMNS``; what does not apply is empty text."""
        row: dict[str, object] = dict.fromkeys(ROW_COLUMNS, "")
        for name in ("source", "status", "operating_point", "model_version", "elapsed_ms", "prior"):
            row[name] = getattr(self, name)
        row["familiarity"] = "" if self.familiarity is None else self.familiarity
        row["finding"] = self.finding or ""
        row["aetiology"] = self.aetiology or ""
        for number, result in self.stages.items():
            row.update({f"probability_{label}": value for label, value in result.probabilities.items()})
            row[f"stage{number}_threshold"] = result.threshold
            row[f"stage{number}_prediction_set"] = " ".join(result.prediction_set)
        reasons = reasons_of(self)
        row["code"] = "; ".join(reason.code for reason in reasons)
        row["message"] = " ".join(reason.message for reason in reasons)
        row["warnings"] = "; ".join(self.warnings)
        return row

    def plot(self) -> Any:
        """Return a matplotlib figure: the film, and the saliency map of each stage that ran.

        Raises
        ------
        UsageError
            Where the answer has no display copy: ``predict(..., display=True)`` keeps one.
        MissingExtraError
            Where matplotlib is not installed.
        """
        if self.display is None or "plot" not in RENDERERS:
            raise UsageError("this answer has no picture of its film; predict(..., display=True) keeps one")
        return RENDERERS["plot"](self)

    def _repr_html_(self) -> str | None:
        """Return a small card for notebooks, with the film where the answer has a display copy."""
        return RENDERERS["html"](self) if "html" in RENDERERS else None


def encodable(text: str) -> str:
    """Escape what is not UTF-8 in a file's name (Python reads such bytes as lone surrogates)."""
    return text.encode("utf-8", "backslashreplace").decode()


def reasons_of(prediction: Prediction) -> tuple[Reason, ...]:
    """Return why there is no finding; empty where there is one."""
    return prediction.reasons or ((prediction.error,) if prediction.error else ())
