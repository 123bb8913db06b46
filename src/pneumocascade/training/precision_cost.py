"""What a model of lower precision costs against float32, on the films that were held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import TrainingError
from pneumocascade.evaluation.bootstrap import Estimate, bootstrap
from pneumocascade.evaluation.metrics import auroc
from pneumocascade.model.calibration import positive_probability
from pneumocascade.model.spec import ModelSpec
from pneumocascade.training.calibrate import StageOutputs


@dataclass(frozen=True, slots=True)
class PrecisionCost:
    """A model of lower precision beside the float32 model that it was made from, on the same films.

    Attributes
    ----------
    stage : int
    precision : str
    films, renderings, patients : int
        That both judged.
    float32, exported : Estimate
        AUROC of each.
    change : Estimate
        Of the AUROC, ``exported`` less ``float32``; its interval is paired: both on the same resamples.
    mean_shift, largest_shift : float
        Of the calibrated probability, 0..1: its absolute difference.
    findings_changed : int
        Renderings with another label at the balanced operating point.
    """

    stage: int
    precision: str
    films: int
    renderings: int
    patients: int
    float32: Estimate
    exported: Estimate
    change: Estimate
    mean_shift: float
    largest_shift: float
    findings_changed: int

    @property
    def within(self) -> bool | None:
        """Whether the AUROC lies in the 95 % interval of that of float32; ``None`` where there is none."""
        if self.float32.ci95 is None or self.exported.value is None:
            return None
        low, high = self.float32.ci95
        return low <= self.exported.value <= high

    @property
    def too_high(self) -> bool:
        """Whether the AUROC lies below that interval."""
        return self.within is False and (self.change.value or 0.0) < 0

    def __str__(self) -> str:
        """Return what it means, in words."""
        name = "INT8" if self.precision == "int8" else self.precision
        films = f"{self.films} films of {self.patients} patients"
        films += f", in {self.renderings} renderings" if self.renderings > self.films else ""
        if self.float32.ci95 is None or self.change.ci95 is None:
            auroc_said = f"What {name} does to stage {self.stage}'s AUROC cannot be told from {films}."
        else:
            auroc_said = (
                f"{name} changes stage {self.stage}'s AUROC by {self.change.value:+.4f} "
                "(paired 95 % interval {:+.4f} to {:+.4f}), ".format(*self.change.ci95)
                + ("within" if self.within else "outside")
                + " the 95 % interval of float32, {:.4f} to {:.4f}, ".format(*self.float32.ci95)
                + f"of {films}."
            )
        return (
            f"{auroc_said} Probabilities move by {self.mean_shift:.4f} on average, {self.largest_shift:.4f} "
            f"at most; {self.findings_changed} of {self.renderings} findings change."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that ``export.json`` keeps."""
        return {
            "precision": self.precision,
            "films": self.films,
            "renderings": self.renderings,
            "patients": self.patients,
            "auroc_float32": self.float32.to_dict(),
            "auroc": self.exported.to_dict(),
            "auroc_change": self.change.to_dict(),
            "within_interval": self.within,
            "probability_shift": {"mean": round(self.mean_shift, 6), "largest": round(self.largest_shift, 6)},
            "findings_changed": self.findings_changed,
            "summary": str(self),
        }

    def check(self) -> None:
        """Refuse a precision that costs more than chance explains.

        Raises
        ------
        TrainingError
            Where :attr:`too_high`.
        """
        if self.too_high:
            raise TrainingError(f"{self} Export with --precision float16 or float32.")


def precision_cost(spec: ModelSpec, float32: StageOutputs, exported: StageOutputs) -> PrecisionCost:
    """Compare a model with the float32 model that it was made from.

    Parameters
    ----------
    spec : ModelSpec
        Of the exported model, calibrated.
    float32, exported : StageOutputs
        Of the same films, as they are, in the same order.
    """
    margins = [each.logits[:, 1].astype(np.float64) - each.logits[:, 0] for each in (float32, exported)]

    def measure(weights: NDArray[np.float64]) -> dict[str, float]:
        before, after = (auroc(float32.labels, margin, weights) for margin in margins)
        return {"float32": before, "exported": after, "change": after - before}

    aurocs = bootstrap(measure, float32.patients.tolist(), {})
    before, after = (
        positive_probability(each.logits, spec.temperature, spec.bias) for each in (float32, exported)
    )
    threshold = spec.operating_points["balanced"].threshold
    shift = np.abs(after - before)
    return PrecisionCost(
        spec.stage,
        spec.precision,
        len(set(float32.films)),
        len(shift),
        len(set(float32.patients)),
        **aurocs,
        mean_shift=float(shift.mean()),
        largest_shift=float(shift.max()),
        findings_changed=int(np.sum((before >= threshold) != (after >= threshold))),
    )
