"""A small data set of phantoms, laid out and named as the published one is."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.conftest import draw_chest


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
