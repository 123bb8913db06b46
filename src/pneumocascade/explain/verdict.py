"""An answer in words: headline, tone and one sentence, the same on every surface.

The words claim no more than the numbers: a film that stage 1 cannot tell is "borderline" on either side of
the threshold, and an aetiology stands in the headline only where stage 2 rules the other one out.
"""

from __future__ import annotations

from dataclasses import dataclass

from pneumocascade.explain.reasons import reason_text
from pneumocascade.i18n import decimal, gettext_noop
from pneumocascade.i18n import gettext as _
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
    "normal": gettext_noop("Normal"),
    "borderline": gettext_noop("Borderline"),
    "pneumonia": gettext_noop("Pneumonia, type undetermined"),
    "bacterial": gettext_noop("Pneumonia, probably bacterial"),
    "viral": gettext_noop("Pneumonia, probably viral"),
    "refused": gettext_noop("Cannot judge"),
    "error": gettext_noop("Cannot read"),
}
"""What films of one tone have in common, for counts of many films."""

OUTCOMES_ALONE = {
    tone: gettext_noop("Pneumonia") if tone == "pneumonia" else words
    for tone, words in OUTCOMES.items()
    if tone not in STAGE2_LABELS
}
"""The same for models that have no stage 2."""

NO_BREAK = "\u00a0"
"""A space that no line is broken at."""

NORMAL_MEANS = "Normal means: no pneumonia on this film. The models look for no other disease."
"""Stands beside a normal film in reports that leave this software."""

OBSTACLES = {
    "too_small": gettext_noop("too few pixels"),
    "blank": gettext_noop("nothing to see"),
    "several_films": gettext_noop("more than one film"),
    "screenshot": gettext_noop("a screenshot around the film"),
    "photograph": gettext_noop("a photograph of a film"),
    "not_a_radiograph": gettext_noop("not a radiograph that the models know"),
    "not_a_chest_radiograph": gettext_noop("not a chest radiograph that the models know"),
    "not_frontal": gettext_noop("not a frontal view that the models know"),
    "inverted": gettext_noop("looks inverted"),
    "rotated": gettext_noop("looks rotated"),
    "cropped": gettext_noop("not a whole chest radiograph"),
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
    number = f"{100 * probability:.1f}"
    if 0.0 < probability < 0.0005:
        number = "< 0.1"
    if 0.9995 <= probability < 1.0:
        number = "> 99.9"
    return _("%(number)s %%", number=decimal(number)).replace(" ", NO_BREAK)


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
    alone = _("The models look for no other disease.")
    if is_borderline(stage1):
        title = (
            _("Borderline, above the threshold")
            if stage1.label == stage1.positive
            else _("Borderline, below the threshold")
        )
        sentence = f"{_borderline_sentence(stage1)} {alone}"
        return Verdict("borderline", title, sentence, (sentence, *probabilities))
    finding = _(prediction.finding.capitalize())
    sentence = _("%(probability)s.", probability=_against_threshold(stage1))
    tone = prediction.finding
    if stage2 is not None and named_aetiology(prediction) is None:
        finding = _("%(finding)s, type undetermined", finding=finding)
        sentence += f" {_undetermined_sentence(stage2)}"
    elif stage2 is not None:
        tone = stage2.label
        label = _(stage2.label)
        finding = _("%(finding)s, probably %(label)s", finding=finding, label=label)
        shown = percent(stage2.probabilities[stage2.label])
        sentence += " " + _(
            "If it is pneumonia, the probability that it is %(label)s is %(shown)s.", label=label, shown=shown
        )
    sentence += f" {alone}"
    return Verdict(tone, finding, sentence, (sentence, *probabilities))


def is_borderline(result: StageResult) -> bool:
    """Return whether a stage cannot tell its two labels apart for this film.

    That is so where its prediction set is not its label alone, and where the other label is likelier: the
    threshold of an operating point may lie on either side of one half.
    """
    return result.prediction_set != (result.label,) or result.probabilities[result.label] < 0.5


def named_aetiology(prediction: Prediction) -> str | None:
    """Return the aetiology that an answer names, ``None`` where stage 2 did not run or a stage is borderline.

    No type stands out where the film may show no pneumonia at all: the label of stage 2, and so
    ``Prediction.aetiology``, is then a label alone.
    """
    stages = prediction.stages
    if 2 not in stages or any(map(is_borderline, stages.values())):
        return None
    return stages[2].label


def mapped_label(prediction: Prediction, stage: int) -> str:
    """Return the label that the saliency map of a stage speaks for, and whether the stage can tell it.

    Parameters
    ----------
    prediction : Prediction
    stage : int
        Number of a stage that ran.
    """
    result = prediction.stages[stage]
    label = _(result.label)
    if stage == 1:
        return _("%(label)s (borderline)", label=label) if is_borderline(result) else label
    return label if named_aetiology(prediction) else _("%(label)s (undetermined)", label=label)


def _no_finding(prediction: Prediction) -> Verdict:
    reasons = reasons_of(prediction)
    title = _("Cannot read this file")
    if prediction.status == "refused":
        obstacle = _(next((OBSTACLES[reason.code] for reason in reasons if reason.code in OBSTACLES), ""))
        title = _("Cannot judge: %(obstacle)s", obstacle=obstacle) if obstacle else _("Cannot judge")
    lines = tuple(f"{reason.code}: {reason_text(reason)}" for reason in reasons)
    return Verdict(prediction.status, title, "", lines)


def _against_threshold(stage1: StageResult) -> str:
    """Return the probability of the positive label and on which side of its threshold it lies."""
    label = _(stage1.positive)
    shown, threshold = percent(stage1.probabilities[stage1.positive]), percent(stage1.threshold)
    if stage1.label == stage1.positive:
        return _(
            "The calibrated probability of %(label)s is %(shown)s, above the threshold of %(threshold)s",
            label=label,
            shown=shown,
            threshold=threshold,
        )
    return _(
        "The calibrated probability of %(label)s is %(shown)s, below the threshold of %(threshold)s",
        label=label,
        shown=shown,
        threshold=threshold,
    )


def _borderline_sentence(stage1: StageResult) -> str:
    start = _against_threshold(stage1)
    negative, positive = (_(label) for label in stage1.probabilities)
    if stage1.prediction_set == (stage1.label,):
        return _("%(start)s, although %(label)s is likelier.", start=start, label=_(_other(stage1)))
    if stage1.prediction_set:
        return _(
            "%(start)s, but neither %(negative)s nor %(positive)s can be ruled out.",
            start=start,
            negative=negative,
            positive=positive,
        )
    return _(
        "%(start)s, a value that is unusual for both %(negative)s and %(positive)s.",
        start=start,
        negative=negative,
        positive=positive,
    )


def _other(result: StageResult) -> str:
    return next(label for label in result.probabilities if label != result.label)


def _undetermined_sentence(stage2: StageResult) -> str:
    first, second = (_(label) for label in stage2.probabilities)
    if not stage2.prediction_set:
        return _("The probability is unusual for both %(first)s and %(second)s.", first=first, second=second)
    return _("Neither %(first)s nor %(second)s can be ruled out.", first=first, second=second)


def _probability_line(result: StageResult) -> str:
    shares = ", ".join(f"{_(label)} {percent(value)}" for label, value in result.probabilities.items())
    return _(
        "Calibrated probability: %(shares)s (%(label)s from %(threshold)s)",
        shares=shares,
        label=_(result.positive),
        threshold=percent(result.threshold),
    )
