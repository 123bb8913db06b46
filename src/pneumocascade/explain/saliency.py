"""Saliency maps: a stage's class-activation map in the geometry of the film.

The map comes out of the same pass as the answer and is exact: the classifier is linear on the mean of
the last feature map, so each place of that map has a contribution of its own to the log-odds, and
their mean, but for a constant of the model, is the log-odds. It tells what the answer was made of,
not whether that is the disease. Zhou et al., "Learning Deep Features for Discriminative
Localization", CVPR 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pneumocascade.errors import UsageError
from pneumocascade.explain.quality import grey_of
from pneumocascade.model.preprocess import inner

if TYPE_CHECKING:
    from pneumocascade.types import Radiograph, StageResult

FULL_HEAT = 8.0
"""Contribution, in log-odds, that an overlay shows in full: fixed, so that films can be compared."""


def saliency_of(result: StageResult, height: int, width: int) -> NDArray[np.float32]:
    """Return the contribution of each place of a film to a stage's answer.

    Parameters
    ----------
    result : StageResult
    height, width : int
        H and W, of the film or of any other size: a film is stretched to the network's square.

    Returns
    -------
    ndarray of float32, shape (H, W)
        Contribution to the calibrated log-odds of the positive label (pneumonia, viral), interpolated
        from the network's coarse map; 0 in the margin that the network does not see. Its mean over the
        rest is the log-odds but for a constant.

    Raises
    ------
    UsageError
        Where the model gives no activation map.
    """
    if result.activation_map is None:
        raise UsageError("this model gives no activation map; export it again with this version")
    saliency = np.zeros((height, width), np.float32)
    seen = inner(saliency, result.margin)
    seen[:] = cv2.resize(result.activation_map, seen.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return saliency


def evidence_for(result: StageResult, height: int, width: int) -> NDArray[np.float32]:
    """Return what speaks for the label that was given.

    This is :func:`saliency_of`, its sign turned for the negative label.
    """
    saliency = saliency_of(result, height, width)
    return saliency if result.label == result.positive else -saliency


def heat_layer(result: StageResult, height: int, width: int) -> NDArray[np.uint8]:
    """Return what speaks for the given label as a layer to lay over a film.

    Parameters
    ----------
    result : StageResult
    height, width : int
        H and W.

    Returns
    -------
    ndarray of uint8, shape (H, W, 4)
        RGB of OpenCV's ``COLORMAP_INFERNO``, and alpha in proportion to the contribution: 0 where
        nothing speaks for the label, 255 from ``FULL_HEAT``.

    Raises
    ------
    UsageError
        Where the model gives no activation map.
    """
    heat = np.clip(evidence_for(result, height, width) / FULL_HEAT, 0, 1)
    level = np.round(heat * 255).astype(np.uint8)
    colours = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.dstack([colours, level])


def overlay(radiograph: Radiograph, result: StageResult, *, opacity: float = 0.6) -> NDArray[np.uint8]:
    """Return a film with what speaks for the given label laid over it in colour.

    Parameters
    ----------
    radiograph : Radiograph
    result : StageResult
        Of this film.
    opacity : float
        0..1, of a place that contributes ``FULL_HEAT`` or more; in proportion elsewhere.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB.

    Raises
    ------
    UsageError
        Where the model gives no activation map, or the opacity is not in 0..1.
    """
    if not 0 <= opacity <= 1:
        raise UsageError(f"opacity is {opacity}; expected 0 to 1")
    layer = heat_layer(result, radiograph.height, radiograph.width).astype(np.float32)
    grey = grey_of(radiograph.pixels)[..., None].astype(np.float32)
    weight = opacity * layer[..., 3:] / 255
    return np.round(grey * (1 - weight) + layer[..., :3] * weight).astype(np.uint8)
