"""Every test of the server has a count of films of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pneumocascade.audit.counter import STATE_VARIABLE


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the count, made when it is needed."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    return tmp_path / "state"
