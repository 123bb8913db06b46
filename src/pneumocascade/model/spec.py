"""``ModelSpec``: every value fixed when a model was trained.

It is written into the ONNX file's own metadata, so that a model cannot be run with another
model's preprocessing, labels or thresholds.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pneumocascade.errors import ModelSpecError
from pneumocascade.i18n import gettext_noop

METADATA_KEY = "pneumocascade.spec"
"""Key of the ONNX metadata entry that holds the JSON text of a :class:`ModelSpec`."""

OPERATING_POINTS = (gettext_noop("balanced"), gettext_noop("sensitive"), gettext_noop("specific"))
"""Names of the operating points that every model stores."""

PRECISIONS = ("int8", "float16", "float32")
"""What weights and activations of a model are computed with."""

STAGE1_LABELS = (gettext_noop("normal"), gettext_noop("pneumonia"))
STAGE2_LABELS = (gettext_noop("bacterial"), gettext_noop("viral"))

UNCERTAIN_DOMAIN = "uncertain"
"""Domain of a film that clearly resembles none of those learnt from."""

DEFAULT_BACKBONE = "resnet50"
"""Of models that name none: those of versions before 2.1."""

IMAGENET_RGB_MEAN = (123.68, 116.779, 103.939)
"""Mean grey value (0..255) of ImageNet's red, green and blue, as in He et al. 2016."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold together with what it was chosen on.

    Attributes
    ----------
    threshold : float
        Calibrated probability of the positive class, 0..1, at or above which a film is positive.
    sensitivity, specificity : float
        Share (0..1) of positive and of negative films judged rightly on ``data``.
    data : str
        The films that the threshold was chosen on.
    """

    threshold: float
    sensitivity: float
    specificity: float
    data: str


PREPARATION = (
    "margin",
    "size",
    "input_size",
    "smoothing_sigma",
    "clahe_clip_limit",
    "clahe_tiles",
    "colour_map",
    "mean",
    "std",
)
"""Fields of :class:`ModelSpec` that decide what becomes of a film."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Preprocessing, labels and calibration of one stage.

    Attributes
    ----------
    stage : int
        1 (normal or pneumonia) or 2 (bacterial or viral).
    labels : tuple of str
        Negative class first; the order of the model's logits.
    version : str
        Of the models that the network was made for. Theirs may have a higher last number: a later gate.
    backbone : str
        Name of the network that was trained, such as ``"resnet50"``; shown, and used to build it again.
    precision : str
        Of weights and activations: ``"int8"``, ``"float16"`` or ``"float32"``; shown, never used.
    recipe : str
        ``"clahe-hot"``, ``"clahe"`` or ``"baseline"``.
    margin : float
        Share of a film's height and width, 0 up to 0.25, that is left out on each side: collimation and
        markers, and the random crops of training are met half way.
    size : int
        Side of the square that a film is stretched to and that the steps are made at, in pixels.
    input_size : int
        Side of the network's input, in pixels: the coloured square is shrunk to it by area averaging.
    smoothing_sigma : float
        Standard deviation, in pixels at ``size``, of the Gaussian low-pass that brings films of
        every resolution and compression to one bandwidth; 0 leaves it out.
    clahe_clip_limit : float or None
        OpenCV's CLAHE clip limit; ``None`` leaves CLAHE out.
    clahe_tiles : tuple of int
        Tiles across and down.
    colour_map : str or None
        ``"hot"`` (OpenCV's ``COLORMAP_HOT``) or ``None`` for grey in three equal channels.
    mean, std : tuple of float
        Per red, green and blue, in grey values 0..255: input = (value - mean) / std.
    temperature : float
        The difference of the logits is divided by it (Guo et al. 2017).
    bias : float
        Added to the tempered difference of the logits, the log-odds of the positive class (Platt
        1999): it undoes what class weights in training did to the prior.
    operating_points : mapping of str to OperatingPoint
        By the names in ``OPERATING_POINTS``.
    prior : float
        Share of the positive class, 0..1, that the probabilities hold for.
    prediction_set_minimum : mapping of str to mapping of str to float
        Per domain and label, the calibrated probability from which the label is in the 90 % prediction set
        (class- and domain-conditional split conformal prediction).
    metrics : mapping of str to float
        Figures measured on ``validation_data``; shown, never used.
    validation_data, training_data : str
        The films the figures were measured on and the weights were fitted on.
    data_fingerprint : str
        SHA-256 over names and contents of the training and validation films.
    trained : str
        Date of the training run, ISO 8601.
    """

    stage: int
    labels: tuple[str, str]
    version: str = "0"
    backbone: str = DEFAULT_BACKBONE
    precision: str = "int8"
    recipe: str = "clahe-hot"
    margin: float = 0.0
    size: int = 224
    input_size: int = 224
    smoothing_sigma: float = 0.8
    clahe_clip_limit: float | None = 2.0
    clahe_tiles: tuple[int, int] = (8, 8)
    colour_map: str | None = "hot"
    mean: tuple[float, float, float] = IMAGENET_RGB_MEAN
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    temperature: float = 1.0
    bias: float = 0.0
    operating_points: Mapping[str, OperatingPoint] = field(default_factory=dict)
    prior: float = 0.5
    prediction_set_minimum: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    validation_data: str = ""
    training_data: str = ""
    data_fingerprint: str = ""
    trained: str = ""

    def __post_init__(self) -> None:
        problems = [
            (self.stage not in (1, 2), f"stage is {self.stage!r}, expected 1 or 2"),
            (
                not isinstance(self.backbone, str) or not self.backbone,
                f"backbone is {self.backbone!r}, expected a name",
            ),
            (
                self.precision not in PRECISIONS,
                f"precision is {self.precision!r}, expected one of {', '.join(PRECISIONS)}",
            ),
            (len(set(self.labels)) != 2, f"labels are {self.labels!r}, expected two"),
            (not 0 <= self.margin <= 0.25, f"margin is {self.margin}, expected 0 to 0.25"),
            (self.size < 32, f"size is {self.size}, expected at least 32 pixels"),
            (
                not 32 <= self.input_size <= self.size,
                f"input_size is {self.input_size}, expected 32 to {self.size}",
            ),
            (self.smoothing_sigma < 0, f"smoothing_sigma is {self.smoothing_sigma}, expected >= 0"),
            (self.colour_map not in (None, "hot"), f"colour_map {self.colour_map!r}, expected 'hot' or None"),
            (not 0 < self.prior < 1, f"prior is {self.prior}, expected a share above 0 and below 1"),
            (not self.temperature > 0, f"temperature is {self.temperature}, expected > 0"),
            (
                len(self.mean) != 3 or not all(map(math.isfinite, self.mean)),
                f"mean is {self.mean}, expected three finite values",
            ),
            (
                len(self.std) != 3 or not all(0 < value < math.inf for value in self.std),
                f"std is {self.std}, expected three values > 0",
            ),
            (
                len(self.clahe_tiles) != 2 or min(self.clahe_tiles) < 1,
                f"clahe_tiles is {self.clahe_tiles}, expected two numbers of at least 1",
            ),
            (
                self.clahe_clip_limit is not None and not self.clahe_clip_limit > 0,
                f"clahe_clip_limit is {self.clahe_clip_limit}, expected > 0 or None",
            ),
            (
                not all(0 <= point.threshold <= 1 for point in self.operating_points.values()),
                "a threshold is not in 0..1",
            ),
        ]
        for wrong, message in problems:
            if wrong:
                raise ModelSpecError(f"this is not a usable model specification: {message}")

    def point(self, name: str) -> OperatingPoint:
        """Return the operating point that applies where one of ``name`` was asked for.

        The operating point is stage 1's: it says how many films with pneumonia may be missed. Stage 2 has no
        class that must not be missed and keeps its balanced point, whatever the name.

        Raises
        ------
        KeyError
            Where the model stores none of that name.
        """
        asked = self.operating_points[name]
        return asked if self.stage == 1 else self.operating_points.get(OPERATING_POINTS[0], asked)

    def prepares_like(self, other: ModelSpec) -> bool:
        """Return whether both make the same input of a film."""
        return all(getattr(self, name) == getattr(other, name) for name in PREPARATION)

    def set_minima(self, domain: str | None) -> Mapping[str, float]:
        """Return by label the probability that lets it into a prediction set; a missing label is always in.

        Parameters
        ----------
        domain : str or None
            Whose films the film resembles. Where the model learnt from none of these, nothing can be ruled
            out; ``None`` and ``UNCERTAIN_DOMAIN``: the least of all domains' minima.
        """
        domains = self.prediction_set_minimum
        if domain not in (None, UNCERTAIN_DOMAIN):
            return domains.get(domain, {})
        return {
            label: min((minima.get(label, 0.0) for minima in domains.values()), default=0.0)
            for label in self.labels
        }

    def to_json(self) -> str:
        """Return the specification as JSON text, keys sorted."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Read a specification from JSON text.

        Raises
        ------
        ModelSpecError
            Where the text is not JSON, a field is missing or unknown, or a value makes no sense.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["operating_points"] = {
                name: OperatingPoint(**point) for name, point in values.get("operating_points", {}).items()
            }
            sets = values.get("prediction_set_minimum", {})
            if not all(isinstance(each, Mapping) for each in sets.values()):  # models up to 1.1: one domain
                values["prediction_set_minimum"] = {"": sets}
            for name in ("labels", "clahe_tiles", "mean", "std"):
                if name in values:
                    values[name] = tuple(values[name])
            return cls(**values)
        except (TypeError, ValueError, AttributeError) as error:
            raise ModelSpecError(f"the model's specification cannot be read: {error}") from error


def for_recipe(
    stage: int, recipe: str, *, size: int = 224, input_size: int | None = None, smoothing_sigma: float = 0.8
) -> ModelSpec:
    """Return the untrained specification of a stage for a named recipe.

    Parameters
    ----------
    stage : int
        1 or 2.
    recipe : str
        ``"clahe-hot"``: CLAHE and HOT colour map; ``"clahe"``: CLAHE alone; ``"baseline"``: neither.
    size : int
        Side of the square that the steps are made at, in pixels.
    input_size : int, optional
        Side of the network's input, in pixels; by default ``size``.
    smoothing_sigma : float
        Of the low-pass before CLAHE, in pixels; 0 for none.

    Raises
    ------
    ModelSpecError
        For another stage or recipe.
    """
    if stage not in (1, 2):
        raise ModelSpecError(f"stage is {stage!r}, expected 1 or 2")
    labels = STAGE1_LABELS if stage == 1 else STAGE2_LABELS
    common: dict[str, Any] = {
        "size": size,
        "input_size": size if input_size is None else input_size,
        "smoothing_sigma": smoothing_sigma,
        "recipe": recipe,
    }
    if recipe == "clahe-hot":
        return ModelSpec(stage, labels, **common)
    if recipe == "clahe":
        return ModelSpec(stage, labels, colour_map=None, **common)
    if recipe == "baseline":
        return ModelSpec(stage, labels, clahe_clip_limit=None, colour_map=None, **common)
    raise ModelSpecError(f"recipe is {recipe!r}, expected 'clahe-hot', 'clahe' or 'baseline'")


def figures_of(metrics: Mapping[str, float]) -> dict[str, tuple[float, tuple[float, float] | None]]:
    """Return each figure of ``ModelSpec.metrics`` with its interval, kept there as ``x_low``, ``x_high``."""
    found: dict[str, tuple[float, tuple[float, float] | None]] = {}
    for name, value in metrics.items():
        base, _, end = name.rpartition("_")
        if end in ("low", "high") and base in metrics:
            continue
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        found[name] = (value, (low, high) if low is not None and high is not None else None)
    return found
