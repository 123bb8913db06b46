"""A watched folder: each film in it is judged once, when its writing has ended."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumocascade.audit.files import remove_unfinished, written_whole
from pneumocascade.errors import FilmError, StorageError, UsageError
from pneumocascade.imaging.dicom.objects import read_object
from pneumocascade.imaging.files import MAX_BYTES
from pneumocascade.imaging.studies import kind_of
from pneumocascade.inference.cascade import DEFAULT_OPERATING_POINT
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.node.results import RESULT_KINDS
from pneumocascade.node.settling import Settling, files_below, may_be_whole, state_of
from pneumocascade.node.watch_record import FAILED_FILM, FileState, WatchRecord
from pneumocascade.types import Prediction, Reason, encodable

if TYPE_CHECKING:
    from pneumocascade.inference.cascade import Cascade
    from pneumocascade.node.results import ResultMaker
    from pneumocascade.node.spool import ResultObject

SETTLE_SECONDS = 2.0
"""Time without a change after which a file counts as whole."""

LOOK_SECONDS, POLL_SECONDS = 30.0, 2.0
"""Between two looks at the whole folder: where changes are reported, and where they are not."""

NOT_A_FILM = "not a film"
_BATCH = 64
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How a folder is watched.

    Attributes
    ----------
    folder, output : Path
        What is watched, with all folders below; where results are written.
    settle : float
        Seconds; see ``SETTLE_SECONDS``.
    once : bool
        End when what is there has its answer.
    poll : bool
        Look at the folder every few seconds rather than wait for the system to report changes; for network
        file systems.
    operating_point : str
    """

    folder: Path
    output: Path
    settle: float = SETTLE_SECONDS
    once: bool = False
    poll: bool = False
    operating_point: str = DEFAULT_OPERATING_POINT


class FolderWatch:
    """Judges the films of a folder as they come.

    Of each it writes, in the place below ``output`` that it has below ``folder``, ``NAME.json``, and for a
    DICOM object ``NAME.sr.dcm``, ``NAME.sc.dcm``, ``NAME.pdf.dcm`` or ``NAME.pr.dcm``. Each
    file appears whole; last of all, a record says that the film is done. A file whose content changes is
    judged anew, and by the next run one on which this software failed; what came of an earlier content is
    replaced or removed.

    Parameters
    ----------
    cascade : Cascade
    maker : ResultMaker
    settings : WatchSettings

    Raises
    ------
    UsageError
        Where there is no such folder, or results cannot be written.
    """

    def __init__(self, cascade: Cascade, maker: ResultMaker, settings: WatchSettings) -> None:
        if not settings.folder.is_dir():
            raise UsageError(f"{settings.folder} is no folder: give one whose films are to be judged")
        self._folder = settings.folder.resolve()
        self._output = settings.output.resolve()
        if self._output == self._folder or self._output in self._folder.parents:
            raise UsageError(f"--output {settings.output} holds the watched folder itself: give another")
        try:
            self._output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{settings.output} cannot be written to: {error.strerror or error}") from error
        self._cascade = cascade
        self._maker = maker
        self._settings = settings
        self._settling = Settling(settings.settle)
        self._known: dict[Path, FileState] = {}
        self.statuses: Counter[str] = Counter()
        """How many files had which outcome in this run."""

    def run(self, stop: threading.Event) -> None:
        """Judge until the event is set or, with ``once``, until everything has its answer."""
        with (
            closing(WatchRecord(self._output)) as record,
            ThreadPoolExecutor(usable_cores()) as pool,
        ):
            remove_unfinished(self._output)
            self._known = {self._folder / path: state for path, state in record.states().items()}
            first = True
            for changed in self._changes(stop):
                if changed is None:
                    self._settling.add(files_below(self._folder, self._output), self._known, trust_age=first)
                    first = False
                else:
                    self._settling.add(filter(self._is_watched, sorted(changed)), self._known)
                while not stop.is_set() and (ready := self._settling.take(_BATCH)):
                    list(pool.map(lambda each: self._answer(each[0], each[1], record), ready))
                if self._settings.once:
                    self._settling.drop_empty()
                    if not len(self._settling):
                        return

    def _changes(self, stop: threading.Event) -> Iterator[set[Path] | None]:
        """Yield the files that changed, ``None`` for a look at all of them, at least twice in ``settle``."""
        tick = min(0.5, max(0.02, self._settings.settle / 2))
        reported = None if self._settings.once or self._settings.poll else _reports(self._folder, tick, stop)
        between = POLL_SECONDS if reported is None else LOOK_SECONDS
        looked = float("-inf")
        while not stop.is_set():
            if time.monotonic() - looked >= between:
                looked = time.monotonic()
                yield None
            if reported is None:
                stop.wait(tick)
                yield set()
            elif (changed := next(reported, None)) is None:
                _log.warning("the system reports no more changes: the folder is looked at now and then")
                reported, between = None, POLL_SECONDS
            else:
                yield changed

    def _is_watched(self, path: Path) -> bool:
        inside = path.relative_to(self._folder).parts[:-1]
        hidden = any(part.startswith(".") for part in inside)
        return may_be_whole(path) and not hidden and self._output not in path.parents

    def _answer(self, path: Path, state: FileState, record: WatchRecord) -> None:
        """Judge a file and write what comes of it; one that cannot be read or answered now waits anew."""
        try:
            status = self._answered(path, state, record)
        except (OSError, StorageError) as error:
            _log.error("a file could not be read, or its answer not be written", exc_info=error)
            self.statuses["failed"] += 1
            if not self._settings.once:
                self._settling.again(path)
            return
        if status is None:
            self._settling.again(path)
            return
        self._known[path] = state
        self.statuses[status] += 1
        _log.info("a file has its answer", extra={"status": status})

    def _answered(self, path: Path, state: FileState, record: WatchRecord) -> str | None:
        """Write and enter what comes of a file; return its status, ``None`` where it changed meanwhile."""
        name = path.relative_to(self._folder).as_posix()
        # Of a file that has more bytes than any film nothing is read.
        content = path.read_bytes() if state.size <= MAX_BYTES else None
        if state_of(path) != state:
            return None
        digest = "" if content is None else hashlib.sha256(content).hexdigest()
        try:
            status = self._status(path, name, content, digest, record)
        except (OSError, StorageError):
            raise
        except Exception as error:  # noqa: BLE001  a fault of ours ends one film, not the watch
            _log.exception("a film could not be judged")
            self._write_row(name, self._failure(name, error).to_dict(), digest, [])
            status = FAILED_FILM
        record.enter(encodable(name), state, digest, status)
        return status

    def _status(self, path: Path, name: str, content: bytes | None, digest: str, record: WatchRecord) -> str:
        if digest and record.digest_of(encodable(name)) == digest:
            return "unchanged"
        if kind_of(path) != "film":
            self._remove_objects(name, RESULT_KINDS)
            self._target(name, "json").unlink(missing_ok=True)
            return NOT_A_FILM
        prediction = self._cascade.predict(
            str(path) if content is None else content,
            name=encodable(name),
            operating_point=self._settings.operating_point,
            display=True,
        )
        self._write(name, content, digest, prediction)
        return prediction.status

    def _failure(self, name: str, error: Exception) -> Prediction:
        kind = type(error).__name__
        message = f"the film could not be judged, for a fault of this software ({kind}): its log says more"
        return Prediction(
            source=encodable(name),
            status="error",
            operating_point=self._settings.operating_point,
            model_version=self._cascade.version,
            error=Reason("internal_error", message),
        )

    def _write(self, name: str, content: bytes | None, digest: str, prediction: Prediction) -> None:
        """Write an answer and its DICOM objects."""
        row = prediction.to_dict()
        made: list[ResultObject] = []
        if content is not None and prediction.acquisition is not None and prediction.status != "error":
            try:
                made = self._maker.make(prediction, read_object(io.BytesIO(content)))
            except FilmError as error:
                row["warnings"] = [*row["warnings"], f"there are no DICOM objects of it: {error.message}"]
        self._write_row(name, row, digest, made)

    def _write_row(self, name: str, row: dict[str, Any], digest: str, made: Sequence[ResultObject]) -> None:
        self._target(name, "json").parent.mkdir(parents=True, exist_ok=True)
        row |= {"file_sha256": digest or None, "objects": []}
        for each in made:
            place = self._target(name, f"{each.kind}.dcm")
            with written_whole(place) as part:
                part.write_bytes(each.content)
            row["objects"].append(place.name)
        with written_whole(self._target(name, "json")) as part:
            part.write_text(encodable(json.dumps(row, ensure_ascii=False)) + "\n", encoding="utf-8")
        self._remove_objects(name, set(RESULT_KINDS) - {each.kind for each in made})

    def _remove_objects(self, name: str, kinds: Iterable[str]) -> None:
        """Remove DICOM objects of what the file held before."""
        for kind in kinds:
            self._target(name, f"{kind}.dcm").unlink(missing_ok=True)

    def _target(self, name: str, suffix: str) -> Path:
        """Return the place of a result of a file."""
        return self._output / f"{name}.{suffix}"


def _reports(folder: Path, tick: float, stop: threading.Event) -> Iterator[set[Path]] | None:
    """Return what yields the files that the system reports as changed; ``None`` where it cannot."""
    try:
        from watchfiles import watch
    except ModuleNotFoundError:
        _log.warning("watchfiles is not installed: the folder is looked at every few seconds")
        return None

    def reported() -> Iterator[set[Path]]:
        milliseconds = max(10, int(1000 * tick))
        try:
            for changes in watch(
                folder,
                watch_filter=None,
                debounce=milliseconds,
                step=min(50, milliseconds),
                stop_event=stop,
                rust_timeout=milliseconds,
                yield_on_timeout=True,
                raise_interrupt=False,
            ):
                yield {Path(path) for _, path in changes}
        except OSError as error:  # the system watches no more folders, or this one is gone
            _log.warning("changes of the folder are not reported", exc_info=error)

    return reported()
