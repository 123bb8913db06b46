"""A node with tiny models in this process, films as files, and an archive."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pneumocascade import Cascade
from pneumocascade.model.store import read_manifest
from pneumocascade.node.limits import Limits
from pneumocascade.node.peers import AllowList, Peer
from pneumocascade.node.service import Node, NodeSettings
from tests.node.programs import free_port, storescp
from tests.reports.sources import MEANS, film_object, film_of, saved
from tests.tiny_models import write_tiny_models

QUICK = Limits(pause_seconds=0.5)
"""A series is judged soon. Callers get the usual time: on a busy machine a sound one may need seconds."""

RunNode = Callable[..., contextlib.AbstractContextManager[Node]]


@pytest.fixture(scope="package")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny models, with their gate."""
    return write_tiny_models(tmp_path_factory.mktemp("tiny"), gate=True)


@pytest.fixture(scope="package")
def tiny_cascade(tiny_folder: Path) -> Cascade:
    return Cascade.load(tiny_folder, threads=1)


@pytest.fixture
def run_node(tmp_path: Path, tiny_folder: Path, tiny_cascade: Cascade) -> RunNode:
    """Run a node with the tiny models in this process; settings may be given."""

    @contextlib.contextmanager
    def run(cascade: Cascade | None = None, **settings: Any) -> Iterator[Node]:
        chosen: dict[str, Any] = {
            "spool": tmp_path / "spool",
            "destinations": (),
            "allowed": AllowList(None),
            "port": 0,
            "limits": QUICK,
        }
        node = Node(cascade or tiny_cascade, read_manifest(tiny_folder), NodeSettings(**(chosen | settings)))
        node.start()
        try:
            yield node
        finally:
            node.stop()

    return run


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[Peer, Path]]:
    """DCMTK's ``storescp``, and the folder of what it got."""
    port = free_port()
    with storescp(tmp_path / "archive", port) as folder:
        yield Peer("ARCHIVE", "127.0.0.1", port), folder


@pytest.fixture
def make_film(tmp_path: Path) -> Callable[..., Path]:
    """Write a film's object and return its path; by default a CR that the tiny models call bacterial."""
    (tmp_path / "films").mkdir()

    def make(mean: float = MEANS["bacterial"], kind: str = "CR", **attributes: Any) -> Path:
        made = film_object(film_of(mean), kind, **attributes)
        path = tmp_path / "films" / f"{made.SOPInstanceUID}.dcm"
        path.write_bytes(saved(made))
        return path

    return make
