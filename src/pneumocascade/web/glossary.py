"""Terms that the page explains on request: a button in the text opens what the glossary says.

Buttons and explanations are plain HTML (popover attributes): they work by keyboard, touch and pointer, Escape
closes them, and no script is needed.
"""

from __future__ import annotations

from pneumocascade.explain.html import render
from pneumocascade.i18n import gettext as _
from pneumocascade.i18n import gettext_noop

TERMS = {
    "activation_map": (
        gettext_noop("Activation map"),
        gettext_noop(
            "for each place of the film, how much it adds to the log-odds of the positive class (pneumonia, "
            "viral). Shown as a saliency map."
        ),
    ),
    "aetiology": (
        gettext_noop("Aetiology"),
        gettext_noop(
            "the cause of a pneumonia; here bacterial or viral. Stage 2 answers it. It was trained on "
            "children only; for others its prediction set holds both labels."
        ),
    ),
    "auroc": (
        gettext_noop("AUROC"),
        gettext_noop(
            "how often a film of the positive class gets a higher probability than one of the negative "
            "class. 0.5 is chance, 1 is perfect."
        ),
    ),
    "calibrated_probability": (
        gettext_noop("Calibrated probability"),
        gettext_noop(
            "of films given a probability of 0.8 for pneumonia, about 80 % show it, on films like those it "
            "was fitted on and at the stated prior."
        ),
    ),
    "clahe": (
        gettext_noop("CLAHE"),
        gettext_noop(
            "contrast limited adaptive histogram equalisation. It evens out contrast, tile by tile."
        ),
    ),
    "coverage": (
        gettext_noop("Coverage"),
        gettext_noop("the share of films whose prediction set holds the true label. The sets aim at 90 %."),
    ),
    "calibration_error": (
        gettext_noop("Expected calibration error (ECE)"),
        gettext_noop(
            "films are grouped by probability. It is the mean, over the groups, of the distance between mean "
            "probability and share of positives. Lower is better."
        ),
    ),
    "entropy": (
        gettext_noop("Entropy"),
        gettext_noop(
            "how evenly the grey values of a picture are spread, in bits: 0 for one value, 8 where all 256 "
            "are as frequent."
        ),
    ),
    "familiarity": (
        gettext_noop("Familiarity"),
        gettext_noop(
            "among the training films of the source that this film resembles most, the share that are less "
            "typical than this one. Near 0, nearly all of them are more typical."
        ),
    ),
    "log_odds": (
        gettext_noop("Log-odds"),
        gettext_noop(
            "the logarithm of p / (1 - p) for a probability p: 0 at one half, above 0 where the positive "
            "class is likelier."
        ),
    ),
    "michelson_contrast": (
        gettext_noop("Michelson contrast"),
        gettext_noop(
            "(high - low) / (high + low) of two grey values, from 0 (one grey) to 1 (black beside any "
            "lighter grey). Here of the 1st and the 99th percentile of the film, so that markers and borders "
            "do not decide it."
        ),
    ),
    "operating_point": (
        gettext_noop("Operating point"),
        gettext_noop(
            "a threshold, with the sensitivity and specificity it had on the films it was chosen on."
        ),
    ),
    "prediction_set": (
        gettext_noop("Prediction set"),
        gettext_noop(
            "the labels for which the probability is not unusual: of films like the training films, nine in "
            "ten have their true label in the set. With two labels the stage can rule out neither; with none "
            "the probability is unusual for both."
        ),
    ),
    "prior": (
        gettext_noop("Prior"),
        gettext_noop(
            "the share of positive films that the probabilities assume, 0.5 in both stages. For stage 1 you "
            "can set another (--prior, or the slider of the app)."
        ),
    ),
    "reference_standard": (
        gettext_noop("Reference standard"),
        gettext_noop("what answers are compared with; here the published label of a film."),
    ),
    "sensitivity": (
        gettext_noop("Sensitivity, specificity"),
        gettext_noop(
            "the share of positive films called positive, and of negative films called negative. Positive is "
            "pneumonia in stage 1, viral in stage 2."
        ),
    ),
}
"""Title and explanation of each term that the page explains, as ``docs/glossary.md`` has them."""


def explanations() -> str:
    """Return the explanations of all terms, which the page holds once; each opens from any of its buttons."""
    return render("web/glossary.html.j2", terms=TERMS)


def terms_line(*names: str) -> str:
    """Return a line of buttons that explain the terms of the text above it.

    Parameters
    ----------
    *names : str
        Keys of ``TERMS``.
    """
    return render("web/terms.html.j2", terms=[(name, _(TERMS[name][0])) for name in names])
