"""From a film in the spool to its answer and results in the spool."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pneumocascade.errors import FilmError, StorageError
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.types import reasons_of

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.node.results import ResultMaker
    from pneumocascade.node.schedule import Schedule
    from pneumocascade.node.spool import ReceivedFilm, ResultObject, Spool
    from pneumocascade.types import Prediction

RETRY_SECONDS = 5.0
"""Wait before a film is judged again whose answer could not be kept."""

_log = logging.getLogger(__name__)


class Judge:
    """Judges the films of a schedule, on threads of its own.

    Parameters
    ----------
    spool : Spool
    schedule : Schedule
    cascade : Cascade
        Its recorder is given each answer once.
    maker : ResultMaker
    destinations : tuple of str
        Who gets the results.
    metrics : NodeMetrics
    operating_point, answered_by : str
        The latter as :class:`pneumocascade.node.intake.Intake` has it.
    done : callable
        Called when there are new results.
    """

    def __init__(
        self,
        spool: Spool,
        schedule: Schedule,
        cascade: Cascade,
        maker: ResultMaker,
        destinations: tuple[str, ...],
        metrics: NodeMetrics,
        *,
        operating_point: str,
        answered_by: str,
        done: Callable[[], object],
    ) -> None:
        self._spool = spool
        self._schedule = schedule
        self._cascade = cascade
        self._maker = maker
        self._destinations = destinations
        self._metrics = metrics
        self._operating_point = operating_point
        self._answered_by = answered_by
        self._done = done
        self._threads: list[threading.Thread] = []

    def start(self, threads: int) -> None:
        """Begin, with so many films at once."""
        self._threads = [
            threading.Thread(target=self._run, name=f"judge {number}", daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Wait, after the schedule was closed, until the films that are being judged are in the spool."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (film := self._schedule.take()) is not None:
            started = time.perf_counter()
            try:
                outcome = self._judge(film, self._spool.trying(film.id))
            except StorageError as error:
                _log.error("an answer could not be kept: the film is judged again", exc_info=error)
                self._schedule.again(film, RETRY_SECONDS)
                continue
            except Exception:  # noqa: BLE001  a fault of ours ends one film, not the node
                _log.exception("a film could not be judged", extra={"film": film.id})
                outcome = self._give_up(film)
            self._metrics.judged(outcome, time.perf_counter() - started)
            self._done()

    def _judge(self, film: ReceivedFilm, tried_since: float | None) -> str:
        prediction = self._cascade.predict(
            str(film.path),
            name=f"film {film.id}",
            operating_point=self._operating_point,
            display=True,
            record=False,
        )
        digest = prediction.pixels_sha256
        others = self._spool.digests_of(film, self._answered_by)
        if digest and digest in others:
            _log.info("a film was judged before: its pixels are the same", extra={"film": film.id})
            self._spool.finish(film, "repeated", digest)
            return "repeated"
        if digest and others:
            _log.warning(
                "a film came again with other pixels under its SOP Instance UID: it is judged anew",
                extra={"film": film.id},
            )
        results = self._results(film, prediction)
        # First, for no film may be answered without an entry.
        self._record(prediction, tried_since)
        if results is None:
            self._spool.finish(film, "failed", "")
            return "failed"
        self._spool.finish(film, prediction.outcome, digest, results, self._destinations)
        codes = " ".join(reason.code for reason in reasons_of(prediction))
        facts = {"film": film.id, "outcome": prediction.outcome, "codes": codes, "results": len(results)}
        _log.log(
            logging.WARNING if prediction.status == "error" else logging.INFO,
            "a film was judged",
            extra=facts,
        )
        return prediction.outcome

    def _record(self, prediction: Prediction, tried_since: float | None) -> None:
        """Give an answer to the recorder, which may have got it when the film was tried before."""
        recorder = self._cascade.recorder
        if recorder is None or tried_since is None:
            self._cascade.record(prediction)
        else:
            recorder(prediction, since=datetime.fromtimestamp(tried_since, timezone.utc))

    def _results(self, film: ReceivedFilm, prediction: Prediction) -> list[ResultObject] | None:
        """Return the objects of an answer; ``None`` where they cannot be made: nobody gets the answer."""
        if prediction.status == "error":
            return []
        try:
            with film.path.open("rb") as stream:
                return self._maker.make(prediction, read_object(stream))
        except FilmError as error:
            _log.error("the results of a film could not be made", extra={"film": film.id, "code": error.code})
            return None

    def _give_up(self, film: ReceivedFilm) -> str:
        """Enter a film whose judging failed for a fault of ours: it is judged again once somebody asks."""
        try:
            self._spool.finish(film, "failed", "")
        except StorageError:
            self._schedule.again(film, RETRY_SECONDS)
        return "failed"
