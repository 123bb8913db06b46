"""What the gate says: kinds of picture, the reason to refuse each, and warnings."""

from __future__ import annotations

from pneumocascade.i18n import gettext_noop
from pneumocascade.types import Reason

UPRIGHT = "upright"
"""Kind of picture that is judged: the whole chest, frontal, upright, lungs dark."""

LATERAL = "lateral"
"""Kind of picture that the view tells."""

REASONS = {
    "inverted": Reason(
        "inverted",
        "If this is a chest radiograph, it looks like a negative: the lungs are bright. Invert it, so that "
        "they are dark.",
    ),
    "turned": Reason(
        "rotated",
        "If this is a frontal chest radiograph, it looks turned by a quarter or half of a circle. Turn it "
        "upright.",
    ),
    "part": Reason(
        "cropped",
        "This does not look like a whole chest: it may be a part of one, or another part of "
        "the body. Give the whole frontal radiograph of a chest.",
    ),
    LATERAL: Reason(
        "not_frontal",
        "This does not look like a chest from the front: it may be one from the side, or another picture. "
        "The models know radiographs from the front.",
    ),
    "other film": Reason(
        "not_a_chest_radiograph",
        "This does not look like a chest radiograph that the models know. Give a whole frontal radiograph "
        "of a chest.",
    ),
    "picture": Reason("not_a_radiograph", "This does not look like a radiograph that the models know."),
}
"""Why a picture of any other kind is refused."""

STRANGE = Reason(
    "not_a_chest_radiograph", "This does not look like the chest radiographs that the models know."
)
"""Why a picture is refused that looks like a chest but lies far from all training films."""

UNFAMILIAR = gettext_noop(
    "The film is less typical than nearly all training films of the source that it resembles most. The "
    "models were trained on children aged one to five years from one hospital and, stage 1 only, on mostly "
    "adults from another."
)
"""Warning below the stored limit of familiarity."""

CHILDREN_ONLY = gettext_noop(
    "Stage 2 was trained only on films of children aged one to five years. This film is not clearly one of "
    "these: stage 2 rules out neither type. Stage 1 was also trained on films, mostly of adults, from one "
    "other hospital."
)
"""Warning where stage 2 answers to a film that is, or may be, of another age, by the object or its looks."""
