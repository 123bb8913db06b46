"""Terms that the page explains on request: a button in the text opens what the glossary says.

Buttons and explanations are plain HTML (popover attributes): they work by keyboard, touch and pointer, Escape
closes them, and no script is needed.
"""

from __future__ import annotations

from pneumocascade.explain.html import render

TERMS = {
    "activation_map": (
        "Activation map",
        "for each place of the film, how much it adds to the log-odds of the positive class (pneumonia, "
        "viral). "
        "Shown as a saliency map.",
    ),
    "aetiology": (
        "Aetiology",
        "the cause of a pneumonia; here bacterial or viral. Stage 2 answers it. It learnt from children "
        "only; "
        "for others its prediction set holds both labels.",
    ),
    "auroc": (
        "AUROC",
        "how often a film of the positive class gets a higher probability than one of the negative "
        "class. 0.5 is "
        "chance, 1 is perfect.",
    ),
    "calibrated_probability": (
        "Calibrated probability",
        "of films given a probability of 0.8 for pneumonia, about 80 % show it, on films like those it "
        "was fitted "
        "on and at the stated prior.",
    ),
    "clahe": (
        "CLAHE",
        "contrast limited adaptive histogram equalisation. It evens out contrast, tile by tile.",
    ),
    "coverage": (
        "Coverage",
        "the share of films whose prediction set holds the true label. The sets aim at 90 %.",
    ),
    "calibration_error": (
        "Expected calibration error (ECE)",
        "the mean distance between probability and share of positives. Lower is better.",
    ),
    "entropy": (
        "Entropy",
        "how evenly the grey values of a picture are spread, in bits: 0 for one value, 8 where all 256 "
        "are as "
        "frequent.",
    ),
    "familiarity": (
        "Familiarity",
        "the share of the training films that are less typical than this one. Near 0, the film is "
        "unlike all of "
        "them.",
    ),
    "log_odds": (
        "Log-odds",
        "the logarithm of p / (1 - p) for a probability p: 0 at one half, above 0 where the positive "
        "class is "
        "likelier.",
    ),
    "michelson_contrast": (
        "Michelson contrast",
        "(high - low) / (high + low) of two grey values, from 0 (one grey) to 1 (black beside any "
        "lighter grey). "
        "Here of the 1st and the 99th percentile of the film, so that markers and borders do not decide it.",
    ),
    "operating_point": (
        "Operating point",
        "a threshold, with the sensitivity and specificity it had on the films it was chosen on.",
    ),
    "prediction_set": (
        "Prediction set",
        "the labels that cannot be ruled out. Two labels mean undetermined; none means that the film fits "
        "neither.",
    ),
    "prior": (
        "Prior",
        "the share of pneumonia that the probabilities assume, 0.5 unless you set another (--prior).",
    ),
    "reference_standard": (
        "Reference standard",
        "what answers are compared with; here the published label of a film.",
    ),
    "sensitivity": (
        "Sensitivity, specificity",
        "the share of pneumonia films called pneumonia, and of normal films called normal.",
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
    return render("web/terms.html.j2", terms=[(name, TERMS[name][0]) for name in names])
