"""A small data set of phantoms, laid out and named as the published one is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import pytest
from monai.networks.nets import resnet

from pneumocascade.evaluation import bootstrap
from pneumocascade.training import backbones, cross_fitting, duplicates, fit_gate
from pneumocascade.training.precision_cost import PrecisionCost
from tests.conftest import draw_chest

SMALL = "small-resnet"
"""A backbone that tests alone know: a ResNet-18 with half its blocks and an eighth of its channels."""

SMALL_CHANNELS = 64


def _small_resnet() -> backbones.Backbone:
    network = partial(resnet.ResNet, "basic", [1, 1, 1, 1], [8, 16, 32, SMALL_CHANNELS])
    build = partial(backbones._resnet, network)
    return replace(
        backbones.BACKBONES["resnet18"], title="small ResNet", build=build, channels=SMALL_CHANNELS
    )


def write_films(root: Path, patients: int, side: int = 96) -> Path:
    """Write two films each of normal, bacterial and viral patients; pneumonia has an opacity."""
    names = {
        "NORMAL": "IM-{patient:04d}-{film:04d}",
        "PNEUMONIA/bacteria": "person{patient}_bacteria_{film}",
        "PNEUMONIA/virus": "person{patient}_virus_{film}",
    }
    for group, (folder, pattern) in enumerate(names.items()):
        for patient in range(patients):
            for film in (1, 2):
                path = (
                    root
                    / folder.split("/")[0]
                    / (pattern.format(patient=1000 * group + patient, film=film) + ".png")
                )
                path.parent.mkdir(parents=True, exist_ok=True)
                seed = 10_000 * group + 10 * patient + film
                cv2.imwrite(str(path), draw_chest(seed, side, side, opacity=0.5 * group))
    return root


@pytest.fixture(scope="session")
def films_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 patients, 48 films."""
    return write_films(tmp_path_factory.mktemp("data-set") / "train", 8).parent


@pytest.fixture(scope="module")
def few_of_everything() -> Iterator[None]:
    """Phantoms are all alike: none is dropped as a duplicate; few resamples, pictures and weights do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.BACKBONES, SMALL, _small_resnet())
        patch.setattr(duplicates, "NEAR_BITS", -1)
        patch.setattr(cross_fitting, "SHIFTED_FILMS", 24)
        patch.setattr(PrecisionCost, "too_high", False)  # of networks that have hardly learnt
        patch.setattr(fit_gate, "FILMS", 12)
        patch.setattr(fit_gate, "DRAWN_EACH", 2)
        patch.setattr(fit_gate, "PROJECTED_EACH", 10)
        defaults = bootstrap.bootstrap.__kwdefaults__
        assert defaults is not None
        patch.setitem(defaults, "resamples", 50)
        yield
