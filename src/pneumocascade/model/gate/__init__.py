"""May this film be judged? Checks on pixels and on stage 1's features, each with a code and a sentence.

Codes: ``too_small``, ``blank``, ``several_films``, ``screenshot``, ``photograph``, ``not_a_radiograph``,
``not_a_chest_radiograph``, ``not_frontal``, ``inverted``, ``rotated``, ``cropped``.
"""

from pneumocascade.model.gate.feature_gate import (
    Assessment,
    FeatureGate,
    Scores,
    pooled,
    stage2_domain,
    stage2_warnings,
)
from pneumocascade.model.gate.pixel_checks import (
    MIN_JUDGED_SIDE,
    NEVER_JUDGED,
    UNCHECKED,
    check_pixels,
)
from pneumocascade.model.gate.reasons import CHILDREN_ONLY, LATERAL, REASONS, STRANGE, UNFAMILIAR, UPRIGHT

__all__ = [
    "CHILDREN_ONLY",
    "LATERAL",
    "MIN_JUDGED_SIDE",
    "NEVER_JUDGED",
    "REASONS",
    "STRANGE",
    "UNCHECKED",
    "UNFAMILIAR",
    "UPRIGHT",
    "Assessment",
    "FeatureGate",
    "Scores",
    "check_pixels",
    "pooled",
    "stage2_domain",
    "stage2_warnings",
]
