"""The notebook runs from top to bottom, and shows what it shows here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"

pytestmark = pytest.mark.slow


def texts(notebook: Any) -> list[str]:
    """Return the plain text of every value that a cell shows."""
    return [
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output["output_type"] == "execute_result"
    ]


def test_the_notebook_runs_and_its_kept_outputs_are_of_the_bundled_models() -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert texts(kept)[:2] == texts(notebook)[:2], "execute examples/quickstart.ipynb again"
    assert len(texts(kept)) == len(texts(notebook))
    assert (
        sum(
            "image/png" in output.get("data", ()) for cell in kept.cells for output in cell.get("outputs", ())
        )
        == 2
    )
