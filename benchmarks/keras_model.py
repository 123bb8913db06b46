"""Speed against a Keras model of the same task: normal or pneumonia, one Xception, no second stage.

    pip download --no-deps pneumonia-model-package && unzip pneumonia_model_package-*.whl
    pip install tensorflow-cpu
    python -m benchmarks.keras_model kermany224 pneumonia_model_package/trained_models/*.keras \
        --output docs/data/speed-keras.json

The model of ``pneumonia-model-package`` 0.3.0 is run as its package does (150 x 150 pixels, batches of 32,
``predict``), but with Pillow for reading in place of a data frame and a generator. They take turns. Needs
a machine with nothing else to do. Nothing is said of accuracy: what the model was trained on may hold the
films here.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from benchmarks.contest import Contestant, contest
from benchmarks.timing import Judge, machine, some
from pneumocascade import Cascade
from pneumocascade.model.engines.processor import usable_cores

SIDE = 150
BATCH = 32


def keras_judge(path: Path) -> Judge:
    """Return what judges films with the Keras model."""
    model = keras.saving.load_model(path, compile=False)

    def judge(paths: Sequence[Path]) -> object:
        found = []
        for start in range(0, len(paths), BATCH):
            films = [
                np.asarray(Image.open(one).convert("RGB").resize((SIDE, SIDE)), np.float32)
                for one in paths[start : start + BATCH]
            ]
            batch = keras.applications.xception.preprocess_input(np.stack(films))
            found.append(model.predict(batch, batch_size=BATCH, verbose=0))
        return found

    return judge


def pneumocascade_judge(threads: int, parallel: int) -> Judge:
    """Return the cascade, as ``predict`` runs it on one core or all."""
    cascade = Cascade.load(threads=threads)
    return lambda paths: list(cascade.predict_many(paths, workers=2, parallel=parallel))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("model", type=Path, help="the package's .keras file")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    films = some(arguments.films, 400)
    ways = {
        "pneumocascade": Contestant(pneumocascade_judge, (0, 1)),
        "Keras model": Contestant(keras_judge, (arguments.model,)),
    }
    report = {"machine": machine(), "single": contest(ways, films, 1, arguments.rounds)}
    ways["pneumocascade"] = Contestant(pneumocascade_judge, (1, usable_cores()))
    report["batch"] = contest(ways, films, 2 * BATCH, 4)
    report["tensorflow"] = {"version": tf.__version__}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
