"""May this film be judged? Checks on pixels and on stage 1's features, each with a code and a sentence.

The checks on pixels come first and cost next to nothing. What passes them goes through stage 1, and a
small linear head looks at the very features that the answer is made of: no second network, no second pass.

Codes: ``too_small``, ``blank``, ``not_a_radiograph``, ``not_a_chest_radiograph``, ``not_frontal``,
``inverted``, ``rotated``, ``cropped``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from zipfile import BadZipFile

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumocascade.dicom import suitability
from pneumocascade.errors import ModelError
from pneumocascade.preprocess import to_square
from pneumocascade.records import Radiograph, Reason

MIN_SIDE = 100
"""Shortest side, in pixels, of a film that is judged; the training films have 224 and more."""

MIN_DEVIATION = 6.0
"""Least standard deviation of grey values (0..255) of a film with something on it."""

MAX_COLOURFULNESS = 20.0
"""Largest mean spread between red, green and blue (0..255); tinted films stay below."""

NEVER_JUDGED = frozenset({"too_small"})
"""Codes for which a film is refused even where the gate is switched off."""

UNCHECKED = "The gate was switched off: of this film only the size was checked."
"""Warning that goes with every answer where the gate was switched off."""

UPRIGHT = "upright"
"""Kind of picture that is judged: the whole chest, frontal, upright, lungs dark."""

REASONS = {
    "inverted": Reason(
        "inverted", "The film looks like a negative: lungs are dark on the films learnt from."
    ),
    "turned": Reason("rotated", "The film looks turned by a quarter or half of a circle; give it upright."),
    "part": Reason("cropped", "The film looks like a part of a chest; give the whole frontal film."),
    "lateral": Reason("not_frontal", "The film looks like a chest from the side; give a frontal one."),
    "other film": Reason("not_a_chest_radiograph", "The picture does not look like a chest radiograph."),
    "picture": Reason("not_a_radiograph", "The picture does not look like a radiograph."),
}
"""Why a picture of any other kind is refused."""

STRANGE = Reason("not_a_chest_radiograph", "The picture is unlike any film that the models have learnt from.")
"""Why a picture is refused that looks like a chest but lies far from all films learnt from."""

_SQUARE = 64
"""Side, in pixels, of the square on which the grey values of a whole film are looked at."""

_LARGE = 10 * _SQUARE
"""Shorter side, in pixels, from which on less than a tenth is left out for speed."""

_ENOUGH = 256
"""Rows or columns, at least, that are looked at for a thumbnail."""

THUMBNAIL = 16
"""Side, in pixels, of the thumbnail that tells a chest from the front from one from the side."""


def reasons_to_refuse(radiograph: Radiograph) -> tuple[Reason, ...]:
    """Return why a film must not be judged, as far as is seen without a model; empty where it may be.

    Codes
    -----
    ``too_small``
        The shorter side has fewer than ``MIN_SIDE`` pixels.
    ``blank``
        Nothing but one tone.
    ``not_a_radiograph``
        A picture in colour.

    Of a film that came as DICOM also what :func:`pneumocascade.dicom.suitability.reasons_to_refuse` says.
    """
    reasons = []
    shorter = min(radiograph.height, radiograph.width)
    if shorter < MIN_SIDE:
        reasons.append(
            Reason("too_small", f"The shorter side has {shorter} pixels; at least {MIN_SIDE} are needed.")
        )
    deviation = float(np.std(_coarse(radiograph.pixels)))
    if deviation < MIN_DEVIATION:
        found = f"The grey values hardly vary (standard deviation {deviation:.1f} of 255)."
        reasons.append(Reason("blank", found))
    if radiograph.colourfulness > MAX_COLOURFULNESS:
        reasons.append(Reason("not_a_radiograph", "The picture is in colour; a radiograph is grey."))
    if radiograph.acquisition is not None:
        reasons += suitability.reasons_to_refuse(radiograph.acquisition)
    return tuple(reasons)


def _coarse(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Average a film down to a square of ``_SQUARE``.

    Of a large film a few rows and columns at the ends are left out: OpenCV averages ten times faster
    by a whole number.
    """
    if min(pixels.shape) >= _LARGE:
        height, width = (side - side % _SQUARE for side in pixels.shape)
        pixels = pixels[:height, :width]
    return to_square(pixels, _SQUARE)


class Scores(NamedTuple):
    """What is compared with a gate's limits.

    Attributes
    ----------
    kinds : ndarray of float32, shape (N, Q)
        Probability of each kind of picture; each row sums to 1.
    sides : ndarray of float32, shape (N,)
        Log-odds of a chest from the side.
    distances : ndarray of float32, shape (N,)
        From the films learnt from.
    """

    kinds: NDArray[np.float32]
    sides: NDArray[np.float32]
    distances: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureGate:
    """What tells by stage 1's features, averaged over the film, and by a thumbnail what is no chest film.

    Three linear checks, made by :func:`pneumocascade.training.gate.fit_gate`. A multinomial logistic
    regression on K directions of the features tells the kind of picture. A logistic regression on the
    thumbnail tells a chest from the side. The distance of the features from the space that whole, frontal,
    upright chests span tells what is like nothing learnt from (the residual of Wang et al., "ViM:
    Out-of-Distribution with Virtual-Logit Matching", CVPR 2022).

    Attributes
    ----------
    stage1_sha256 : str
        Of the model file whose features it was fitted on.
    kinds : tuple of str, length Q
        ``UPRIGHT`` first, then keys of ``REASONS``; one key may stand more than once.
    mean, projection : ndarray of float32, shapes (C,) and (C, K)
    weights, bias : ndarray of float32, shapes (K, Q) and (Q,)
    chest_mean, chest_directions : ndarray of float32, shapes (C,) and (C, U)
        Mean and orthonormal principal directions of upright chests.
    side_weights, side_bias : ndarray of float32, shapes (THUMBNAIL * THUMBNAIL,) and (1,)
    minimum_upright : float
        Least probability (0..1) of being upright of a film that is judged.
    maximum_side, maximum_distance : float
        Largest log-odds and distance of a film that is judged.
    """

    stage1_sha256: str
    kinds: tuple[str, ...]
    mean: NDArray[np.float32]
    projection: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    chest_mean: NDArray[np.float32]
    chest_directions: NDArray[np.float32]
    side_weights: NDArray[np.float32]
    side_bias: NDArray[np.float32]
    minimum_upright: float = 0.0
    maximum_side: float = float("inf")
    maximum_distance: float = float("inf")

    def __post_init__(self) -> None:
        channels, kinds = self.mean.size, len(self.kinds)
        shapes = {
            "mean": (channels,),
            "projection": (channels, self.weights.shape[0]),
            "weights": (self.weights.shape[0], kinds),
            "bias": (kinds,),
            "chest_mean": (channels,),
            "chest_directions": (channels, self.chest_directions.shape[-1]),
            "side_weights": (THUMBNAIL * THUMBNAIL,),
            "side_bias": (1,),
        }
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ModelError(
                    f"this is not a usable gate: {name} is {array.dtype} of shape {array.shape}, expected "
                    f"finite float32 of shape {shape}"
                )
        if self.kinds[:1] != (UPRIGHT,) or kinds < 2 or not set(self.kinds[1:]) <= set(REASONS):
            raise ModelError(f"this is not a usable gate: it tells the kinds {', '.join(self.kinds)}")
        limits = (self.minimum_upright, self.maximum_side, self.maximum_distance)
        if not (0 <= self.minimum_upright <= 1 and self.maximum_distance > 0) or np.isnan(self.maximum_side):
            raise ModelError(f"this is not a usable gate: its limits are {limits}")

    def judge(self, features: NDArray[np.float32], thumbnails: NDArray[np.float32]) -> Scores:
        """Return the scores of N films.

        Parameters
        ----------
        features : ndarray of float32, shape (N, C)
            From :func:`pooled`.
        thumbnails : ndarray of float32, shape (N, THUMBNAIL * THUMBNAIL)
            From :func:`thumbnail`.
        """
        logits = (features - self.mean) @ self.projection @ self.weights + self.bias  # (N, Q)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        centred = features - self.chest_mean
        along = centred @ self.chest_directions  # (N, U)
        squares = np.square(centred).sum(axis=1) - np.square(along).sum(axis=1)
        return Scores(
            powers / powers.sum(axis=1, keepdims=True),
            thumbnails @ self.side_weights + self.side_bias,
            np.sqrt(np.maximum(squares, 0)),
        )

    def reasons(
        self, thumbnails: NDArray[np.float32], features: NDArray[np.float32]
    ) -> list[tuple[Reason, ...]]:
        """Return for each of N films why it must not be judged; empty where it may be.

        Parameters
        ----------
        thumbnails : ndarray of float32, shape (N, THUMBNAIL * THUMBNAIL)
            From :func:`thumbnail`.
        features : ndarray of float32, shape (N, C, h, w)
            What stage 1 made of them.

        Raises
        ------
        ModelError
            Where these are not the features of the stage 1 that the gate was fitted on.
        """
        if not len(thumbnails):
            return []
        if features.shape[1] != self.mean.size:
            raise ModelError(
                f"stage 1 gives {features.shape[1]} features, the gate takes {self.mean.size}: "
                "they do not belong together"
            )
        return [self._reasons(*row) for row in zip(*self.judge(pooled(features), thumbnails), strict=True)]

    def _reasons(
        self, kinds: NDArray[np.float32], side: np.float32, distance: np.float32
    ) -> tuple[Reason, ...]:
        """Return the first reason there is: the head's names more than a distance can."""
        if kinds[0] < self.minimum_upright:
            return (REASONS[self.kinds[1 + int(np.argmax(kinds[1:]))]],)
        if side > self.maximum_side:
            return (REASONS["lateral"],)
        return (STRANGE,) if distance > self.maximum_distance else ()

    def to_bytes(self) -> bytes:
        """Return the gate as the content of an ``.npz`` file; nothing in it is pickled."""
        stream = io.BytesIO()
        arrays: dict[str, Any] = {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}
        np.savez(stream, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "gate") -> FeatureGate:
        """Read what :meth:`to_bytes` gave.

        Parameters
        ----------
        data : bytes
        name : str
            For messages.

        Raises
        ------
        ModelError
            Where the bytes are no gate.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                values: dict[str, Any] = {field.name: archive[field.name] for field in fields(cls)}
            for field in fields(cls):
                if field.type == "float":
                    values[field.name] = float(values[field.name])
            values["kinds"] = tuple(map(str, values["kinds"].tolist()))
            values["stage1_sha256"] = str(values["stage1_sha256"])
            return cls(**values)
        except ModelError as error:
            raise ModelError(f"{name}: {error}") from error
        except (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, BadZipFile) as error:
            raise ModelError(f"{name} is not a gate that can be read: {error!r}") from error


def pooled(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the square roots of the averages of feature maps: (N, C, h, w) to (N, C).

    The averages are of what a rectifier lets through, many small ones and a few large: the root
    brings them nearer to a normal distribution.
    """
    averages: NDArray[np.float32] = np.maximum(features.mean(axis=(2, 3)), 0)
    return np.sqrt(averages)


def thumbnail(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return a film's coarse layout whatever its exposure: THUMBNAIL * THUMBNAIL values in 0..1.

    Each value is the mean rank of the grey values of a place among those of the film. From the front a
    chest is bright between two dark lungs; from the side it is dark in the middle.
    """
    step = max(1, min(pixels.shape) // _ENOUGH)  # averaging every pixel of a large film takes milliseconds
    coarse = to_square(pixels[::step, ::step], _SQUARE)
    counts = np.bincount(coarse.ravel(), minlength=256)
    ranks = ((np.cumsum(counts) - counts / 2) / coarse.size).astype(np.float32)
    small = cv2.resize(ranks[coarse], (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel()
