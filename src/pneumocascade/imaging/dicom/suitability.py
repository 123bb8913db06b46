"""What a film's acquisition tells the gate: whether it may be judged, and is like those learnt from.

Without pydicom. The models learnt from frontal chest films of children of one to five years (Kermany et
al., "Identifying Medical Diagnoses and Treatable Diseases by Image-Based Deep Learning", Cell 172, 2018).
"""

from __future__ import annotations

import re

from pneumocascade.i18n import gettext_noop
from pneumocascade.types import Acquisition, Reason


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Z0-9]+", text.upper())


OTHER_AGE = gettext_noop(
    "The DICOM object's patient is younger or older than the children, aged one to five years, on whose "
    "films both stages were trained; stage 1 was also trained on films, mostly of adults, from one other "
    "hospital."
)
"""Warning; it does not say the age."""

OTHER_MODALITY = gettext_noop("The DICOM object's modality is %(modality)s, not that of a radiograph.")
OTHER_PART = gettext_noop("The DICOM object says that another part of the body than the chest was examined.")
OTHER_VIEW = gettext_noop("The DICOM object gives a view that is not frontal; use an AP or PA film.")

LEARNT_AGES = (1.0, 6.0)
"""Years of age, the second excluded."""

_OTHER_MODALITIES = frozenset(
    _words(
        """
        AR ASMT AU BDUS BI BMD CD CFM CT CTPROTOCOL DD DG DMS DOC ECG EEG EMG EOG EPS ES FID GM HC HD
        IO IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT3D
        PLAN POS PR PT PX REG RESP RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV
        SEG SM SMR SR SRF ST STAIN TEXTUREMAP TG US VA VF XA XC XAPROTOCOL
        """
    )
)
"""Modalities (DICOM PS3.3, C.7.3.1.1.1) whose pictures are no plain radiographs of a chest."""

_CHEST = re.compile(r"CHEST|THORA[XC]|LUNG|PULMO|HEART|CARDI|MEDIASTIN|STERN|RIB|BODY|TRUNK|TORSO")
"""A part of the body with one of these in its name may be a chest, or hold one."""

_SPINE = re.compile(r"SPINE|VERTEBR")

_OTHER_PARTS = frozenset(
    _words(
        """
        ABDOMEN ABDOMINAL ACROMIOCLAVICULAR ANKLE ARM BLADDER BRAIN BREAST BUTTOCK CALCANEUS CALF
        CAROTID CERVIX CLAVICLE COCCYX COLON CRANIUM EAR ELBOW ESOPHAGUS EXTREMITY EYE FACE FACIAL
        FEMUR FIBULA FINGER FOOT FOREARM GALLBLADDER HAND HEAD HEEL HIP HUMERUS ILIUM JAW KIDNEY KNEE
        LARYNX LEG LIVER LUMBAR MANDIBLE MASTOID MAXILLA NASAL NECK NOSE ORBIT PATELLA PELVIS PELVIC
        PHANTOM RADIUS SACRUM SCALP SCAPULA SHOULDER SINUS SINUSES SKULL STOMACH TEETH THIGH THUMB
        TIBIA TOE TOES TOOTH ULNA UTERUS WRIST ZYGOMA FINGERS HANDS FEET KNEES HIPS
        """
    )
)
"""Words of parts of the body (DICOM PS3.16, annex L) that are not the chest."""

_SIDE = frozenset(
    _words(
        """
        LL RL LLD RLD LLO RLO LAO RAO LPO RPO LAT LATERAL LATL LATR OBLIQUE OBL DECUBITUS DECUB
        SAGITTAL AXIAL TANGENTIAL
        """
    )
)
"""Words of view positions (DICOM PS3.3, C.8.7.1.1.1, C.8.11.5; PS3.16, CID 4010) that are not frontal."""

_FRONTAL = frozenset(_words("AP PA ANTERO POSTERO ANTERIOR POSTERIOR FRONTAL UPRIGHT ERECT SUPINE SITTING"))
"""Words of frontal view positions."""

_RADIOGRAPHS = frozenset(_words("CR DX DR RG RF SC OT XR"))
"""Modalities that plain radiographs of a chest come with."""


def reasons_to_refuse(acquisition: Acquisition) -> tuple[Reason, ...]:
    """Return why a film must not be judged, as far as its acquisition tells.

    What is not said refuses nothing.

    Codes
    -----
    ``not_a_radiograph``
        The modality makes other pictures.
    ``not_a_chest_radiograph``
        The part of the body is clearly another.
    ``not_frontal``
        The view is lateral, oblique or decubitus.
    """
    reasons = []
    if acquisition.modality.upper() in _OTHER_MODALITIES:
        found = OTHER_MODALITY % {"modality": acquisition.modality.upper()}
        reasons.append(Reason("not_a_radiograph", found))
    if _is_other_part(acquisition.body_part):
        reasons.append(Reason("not_a_chest_radiograph", OTHER_PART))
    if _SIDE & set(_words(acquisition.view_position)):
        reasons.append(Reason("not_frontal", OTHER_VIEW))
    return tuple(reasons)


def is_of_other_age(acquisition: Acquisition) -> bool:
    """Return whether the object says an age other than that of the children of the main data set."""
    youngest, oldest = LEARNT_AGES
    age = acquisition.age_years
    return age is not None and not youngest <= age < oldest


def warnings_of(acquisition: Acquisition) -> tuple[str, ...]:
    """Return what a reader of the answer should know of a film's acquisition."""
    return (OTHER_AGE,) if is_of_other_age(acquisition) else ()


def _is_other_part(part: str) -> bool:
    words = _words(part)
    name = " ".join(words)
    return bool(_SPINE.search(name)) or (bool(_OTHER_PARTS & set(words)) and not _CHEST.search(name))


def known_view(text: str) -> str:
    """Return a view position where all its words are those of views, else nothing: it may be free text."""
    words = set(_words(text))
    return text if words and words <= _SIDE | _FRONTAL else ""


def known_modality(text: str) -> str:
    """Return a modality that the standard or practice knows, else nothing: it may be free text."""
    return text if text in _OTHER_MODALITIES | _RADIOGRAPHS else ""
