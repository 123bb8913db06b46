"""Write what the bundled models say of the example films: the file that tests/test_golden.py holds them to.

    python tools/golden.py

A change of it is a change of the answers: it goes into CHANGELOG.md, with a new version of the models.
Numbers have six digits; the tests let them differ by 1e-3, since processors round differently.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pneumocascade import Cascade, Prediction
from pneumocascade.model.spec import OPERATING_POINTS

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "src" / "pneumocascade" / "examples"
GOLDEN = ROOT / "tests" / "golden" / "examples.json"


def answer_of(prediction: Prediction) -> dict[str, Any]:
    """Return an answer as JSON without what differs from run to run."""
    answer = prediction.to_dict()
    del answer["elapsed_ms"], answer["source"]
    return answer


def golden(cascade: Cascade) -> dict[str, Any]:
    """Return the answers to the example films, by operating point and file name."""
    films = sorted(EXAMPLES.glob("*.jpeg"))
    return {
        "model_version": cascade.version,
        "films": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in films},
        "answers": {
            point: {path.name: answer_of(cascade.predict(path, operating_point=point)) for path in films}
            for point in OPERATING_POINTS
        },
    }


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden(Cascade.load()), indent=1) + "\n", encoding="utf-8")
