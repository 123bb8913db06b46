"""What becomes of a film whose judging is interrupted or fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pneumocascade import Cascade
from pneumocascade.audit.history import History
from pneumocascade.errors import StorageError, UnsuitableImageError
from pneumocascade.node import judge
from pneumocascade.node.peers import Peer
from pneumocascade.node.results import ResultMaker
from pneumocascade.node.spool import ReceivedFilm, ResultObject, Spool
from tests.node.conftest import RunNode
from tests.node.programs import store, wait_for, wait_for_metrics
from tests.reports.sources import MEANS, REFUSED_MEAN

ARCHIVE = Peer("ARCHIVE", "127.0.0.1", 1)
"""That is not there."""


@pytest.mark.parametrize(
    "error", [RuntimeError("a fault of ours"), UnsuitableImageError("incomplete_object", "it lacks a UID")]
)
def test_a_film_that_failed_is_judged_again_where_it_is_sent_again_or_the_next_start_is_asked_to(
    run_node: RunNode, make_film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> list[ResultObject]:
        raise error

    resent, kept = make_film(), make_film(MEANS["normal"])
    with monkeypatch.context() as patch, run_node(destinations=(ARCHIVE,)) as node:
        patch.setattr(ResultMaker, "make", fail)
        assert store(node.port, resent, kept).returncode == 0
        wait_for_metrics(node, 'films_total{outcome="failed"} 2.0')
        assert node.spool.counts().judged == 2
    with run_node(destinations=(ARCHIVE,)) as node:
        assert node.spool.counts()[:3] == (0, 2, 0)
        assert store(node.port, resent).returncode == 0
        wait_for(lambda: node.spool.counts().waiting == 2)
    with run_node(destinations=(ARCHIVE,), retry_failed=True) as node:
        wait_for(lambda: node.spool.counts()[:3] == (0, 2, 4))


@pytest.mark.slow
def test_a_film_whose_results_could_not_be_kept_has_one_entry_in_the_history(
    run_node: RunNode,
    tiny_cascade: Cascade,
    make_film: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures: list[int] = []

    def fail(spool: Spool, film: ReceivedFilm, *_: object) -> None:
        assert film.path.parent.parent == spool.folder
        failures.append(film.id)
        raise StorageError("as if the process was killed here")

    with closing(History(tmp_path / "history.sqlite3")) as history:
        stages = (tiny_cascade.stage1, tiny_cascade.stage2, tiny_cascade.version, tiny_cascade.gate)
        cascade = Cascade(*stages, recorder=history.add)
        with monkeypatch.context() as patch, run_node(cascade) as node:
            patch.setattr(judge, "RETRY_SECONDS", 0.1)
            patch.setattr(Spool, "finish", fail)
            assert store(node.port, make_film(), make_film(), make_film(REFUSED_MEAN)).returncode == 0
            wait_for(lambda: len(set(failures)) == 3 and len(failures) > 6)  # tried again by this process
        with run_node(cascade) as node:  # and by the next
            wait_for(lambda: node.spool.counts().judged == 3)
        assert sorted(entry.status for entry in history.entries()) == ["ok", "ok", "refused"]
