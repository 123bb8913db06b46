"""An answer in words: headline, tone and one sentence, the same on every surface.

The words claim no more than the numbers: a film that stage 1 cannot tell is "borderline" on either side of
the threshold, and an aetiology stands in the headline only where stage 2 rules the other one out.
"""

from __future__ import annotations

from dataclasses import dataclass

from pneumocascade.model.spec import STAGE2_LABELS
from pneumocascade.types import Prediction, StageResult, reasons_of

TONES = {
    "normal": "#2f9e6e",
    "borderline": "#c99a1a",
    "pneumonia": "#d6456b",
    "bacterial": "#e8590c",
    "viral": "#9c5fd6",
    "refused": "#5f7fa8",
    "error": "#8a94a3",
}
"""Colour of a verdict by its tone; what it means is always said in words, too."""

OUTCOMES = {
    "normal": "Normal",
    "borderline": "Borderline",
    "pneumonia": "Pneumonia, type undetermined",
    "bacterial": "Pneumonia, probably bacterial",
    "viral": "Pneumonia, probably viral",
    "refused": "Cannot judge",
    "error": "Cannot read",
}
"""What films of one tone have in common, for counts of many films."""

OUTCOMES_ALONE = {
    tone: "Pneumonia" if tone == "pneumonia" else words
    for tone, words in OUTCOMES.items()
    if tone not in STAGE2_LABELS
}
"""The same for models that have no stage 2."""

NO_BREAK = "\u00a0"
"""A space that no line is broken at."""

NORMAL_MEANS = "Normal means: no pneumonia on this film. The models know no other disease."
"""Stands beside a normal film in reports that leave this software."""

OBSTACLES = {
    "too_small": "too few pixels",
    "blank": "nothing to see",
    "several_films": "more than one film",
    "screenshot": "a screenshot around the film",
    "photograph": "a photograph of a film",
    "not_a_radiograph": "not a radiograph that the models know",
    "not_a_chest_radiograph": "not a chest radiograph that the models know",
    "not_frontal": "not a frontal view that the models know",
    "inverted": "looks inverted",
    "rotated": "looks rotated",
    "cropped": "only a part of the chest",
}
"""The obstacle in a headline, by the code of the first reason."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer in words.

    Attributes
    ----------
    tone : str
        Key of ``TONES``.
    title : str
        The headline, such as ``"Pneumonia, type undetermined"``.
    sentence : str
        What the headline rests on; empty where there is no finding.
    lines : tuple of str
        All that stands below the headline: the sentence and the probabilities with their thresholds, or why
        there is no finding.
    """

    tone: str
    title: str
    sentence: str
    lines: tuple[str, ...]

    @property
    def summary(self) -> str:
        """Headline and lines as running text, with spaces that every system takes."""
        text = ". ".join((self.title, *(line.removesuffix(".") for line in self.lines)))
        return text.replace(NO_BREAK, " ") + "."


def percent(probability: float) -> str:
    """Return a probability (0..1) in percent; never a rounded 0 or 100 that it is not.

    Its spaces do not break: number and sign stay on one line.
    """
    text = f"{100 * probability:.1f} %"
    if 0.0 < probability < 0.0005:
        text = "< 0.1 %"
    if 0.9995 <= probability < 1.0:
        text = "> 99.9 %"
    return text.replace(" ", NO_BREAK)


def verdict_of(prediction: Prediction) -> Verdict:
    """Return an answer in words.

    ============  =================================  ====================================================
    tone          headline                           when
    ============  =================================  ====================================================
    normal        Normal                             stage 1 rules pneumonia out
    borderline    Borderline, below the threshold    stage 1 says normal, but its prediction set holds
                                                     both labels or neither, or pneumonia is likelier
    borderline    Borderline, above the threshold    the same on the side of pneumonia
    pneumonia     Pneumonia                          the models have no stage 2
    pneumonia     Pneumonia, type undetermined       stage 2 rules neither type out, or fits neither
    bacterial     Pneumonia, probably bacterial      stage 2 rules viral out
    viral         Pneumonia, probably viral          stage 2 rules bacterial out
    refused       Cannot judge: ...                  the gate refused the film
    error         Cannot read this file              it could not be read
    ============  =================================  ====================================================
    """
    stage1, stage2 = prediction.stage1, prediction.stage2
    if stage1 is None or prediction.finding is None:
        return _no_finding(prediction)
    probabilities = tuple(map(_probability_line, prediction.stages.values()))
    if is_borderline(stage1):
        side = "above" if stage1.label == stage1.positive else "below"
        sentence = _borderline_sentence(stage1, side)
        return Verdict(
            "borderline", f"Borderline, {side} the threshold", sentence, (sentence, *probabilities)
        )
    finding = prediction.finding.capitalize()
    shown = percent(stage1.probabilities[stage1.positive])
    side = "above" if stage1.label == stage1.positive else "below"
    sentence = (
        f"The calibrated probability of {stage1.positive} is {shown}, {side} the threshold of "
        f"{percent(stage1.threshold)}."
    )
    tone = prediction.finding
    if stage2 is not None and is_borderline(stage2):
        finding = f"{finding}, type undetermined"
        sentence += f" {_undetermined_sentence(stage2)}"
    elif stage2 is not None:
        tone = stage2.label
        finding = f"{finding}, probably {stage2.label}"
        shown = percent(stage2.probabilities[stage2.label])
        sentence += f" If it is pneumonia, the probability that it is {stage2.label} is {shown}."
    return Verdict(tone, finding, sentence, (sentence, *probabilities))


def is_borderline(result: StageResult) -> bool:
    """Return whether a stage cannot tell its two labels apart for this film.

    That is so where its prediction set is not its label alone, and where the other label is likelier: the
    threshold of an operating point may lie on either side of one half.
    """
    return result.prediction_set != (result.label,) or result.probabilities[result.label] < 0.5


def _no_finding(prediction: Prediction) -> Verdict:
    reasons = reasons_of(prediction)
    title = "Cannot read this file"
    if prediction.status == "refused":
        obstacle = next((OBSTACLES[reason.code] for reason in reasons if reason.code in OBSTACLES), "")
        title = f"Cannot judge: {obstacle}" if obstacle else "Cannot judge"
    return Verdict(
        prediction.status, title, "", tuple(f"{reason.code}: {reason.message}" for reason in reasons)
    )


def _borderline_sentence(stage1: StageResult, side: str) -> str:
    negative, positive = stage1.probabilities
    shown = percent(stage1.probabilities[positive])
    start = (
        f"The calibrated probability of {positive} is {shown}, {side} the threshold of "
        f"{percent(stage1.threshold)}"
    )
    if stage1.prediction_set == (stage1.label,):
        return f"{start}, although {_other(stage1)} is likelier."
    if stage1.prediction_set:
        return f"{start}, but neither {negative} nor {positive} can be ruled out."
    return f"{start}, but the film is like neither the {negative} films nor those with {positive}."


def _other(result: StageResult) -> str:
    return next(label for label in result.probabilities if label != result.label)


def _undetermined_sentence(stage2: StageResult) -> str:
    first, second = stage2.probabilities
    if not stage2.prediction_set:
        return f"The film is like neither {first} nor {second} pneumonia."
    return f"Neither {first} nor {second} can be ruled out."


def _probability_line(result: StageResult) -> str:
    shares = ", ".join(f"{label} {percent(value)}" for label, value in result.probabilities.items())
    return f"Calibrated probability: {shares} ({result.positive} from {percent(result.threshold)})"
