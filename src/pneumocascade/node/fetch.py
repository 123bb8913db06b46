"""A study of an archive, fetched by C-GET, or by C-MOVE where that is not offered, and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pydicom.dataset import Dataset
from pynetdicom import build_role, evt
from pynetdicom.presentation import build_context

from pneumocascade.audit.files import written_whole
from pneumocascade.errors import ArchiveError, UsageError
from pneumocascade.imaging.dicom.frames import NATIVE, READ_SYNTAXES
from pneumocascade.imaging.dicom.values import text_of
from pneumocascade.node.receiver import FILM_CLASSES, SUCCESS
from pneumocascade.node.transport import Entity, cut
from pneumocascade.node.uids import is_uid
from pneumocascade.reports.common_attributes import DESCRIPTIONS

if TYPE_CHECKING:
    import ssl
    import threading
    from pathlib import Path

    from pydicom.uid import UID
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

    from pneumocascade.node.limits import Limits
    from pneumocascade.node.peers import Peer
    from pneumocascade.node.receiver import Receiver
    from pneumocascade.node.service import Node

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
"""Study Root Query/Retrieve Information Model (PS3.4, C.4)."""

_MOST_CONTEXTS = 127
"""Of an association, besides that of C-GET: their numbers are odd and have one byte (PS3.8, 9.3.2.2)."""

_WARNING = 0xB000
_FILM_MODALITIES = ("CR", "DX", "RG", "RF", "OT", "SC", "")
"""Of series that are fetched; others, such as reports and presentation states, hold no films."""

_NO_ANSWER, _ABORTED = "no answer", "it ended the association"
_LOOK_SECONDS = 0.1


class Fetched(NamedTuple):
    """How an archive answered.

    Attributes
    ----------
    by : str
        ``"C-GET"`` or ``"C-MOVE"``; ``"C-FIND"`` where no series may hold films.
    completed, failed : int
        Objects that it sent, and others of the series that it gave.
    refused : tuple of str
        Of each series that it did not give, or not to the end: why.
    """

    by: str
    completed: int
    failed: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches studies into a spool.

    Attributes
    ----------
    archive : Peer
    ae_title : str
        How this node calls itself, also as the place that C-MOVE sends to.
    limits : Limits
    tls : ssl.SSLContext, optional
    """

    archive: Peer
    ae_title: str
    limits: Limits
    tls: ssl.SSLContext | None = None

    def fetch(self, study: str, receiver: Receiver, listen: Callable[[], object]) -> Fetched:
        """Fetch a study; what is sent goes to the receiver.

        Parameters
        ----------
        study : str
            Study Instance UID.
        receiver : Receiver
        listen : callable
            Called where C-MOVE is used: makes the receiver listen.

        Raises
        ------
        UsageError
            Where the UID is none.
        ArchiveError
            Where the archive cannot be reached, has no such study, or does not give it.
        """
        if not is_uid(study):
            raise UsageError(f"{study!r} is no UID: expected the Study Instance UID, digits and dots")
        series = self._find(study)
        if not series:
            return Fetched("C-FIND", 0, 0)
        if (fetched := self._get(study, series, receiver)) is not None:
            return fetched
        listen()
        return self._move(study, series)

    def _find(self, study: str) -> list[str]:
        """Return the series of a study that may hold films, ours left out.

        They are asked for one by one: some archives end at the first object that is not accepted here.
        """
        association = self._associate([build_context(FIND)])
        try:
            wanted = _identifier(study)
            wanted.Modality = wanted.SeriesDescription = ""
            answers = list(association.send_c_find(wanted, FIND))
        except RuntimeError as error:
            raise ArchiveError(f"{self.archive} did not answer a query for the study: {_ABORTED}") from error
        finally:
            _close(association)
        if why := _why_not([status for status, _ in answers], (SUCCESS,)):
            raise ArchiveError(f"{self.archive} did not answer a query for the study: {why}")
        found = [dataset for _, dataset in answers if dataset is not None]
        if not found:
            raise ArchiveError(f"{self.archive} has no study {study}")
        return [str(each.SeriesInstanceUID) for each in found if _may_hold_films(each)]

    def _get(self, study: str, series: Sequence[str], receiver: Receiver) -> Fetched | None:
        """Fetch by C-GET; ``None`` where the archive does not offer it."""
        contexts = [build_context(GET), *_film_contexts()]
        roles = [build_role(each, scp_role=True) for each in FILM_CLASSES]
        handlers = [(evt.EVT_C_STORE, receiver.store)]
        association = self._associate(contexts, roles, handlers)
        try:
            if not any(each.abstract_syntax == GET for each in association.accepted_contexts):
                return None
            return self._fetched(
                "C-GET",
                association,
                [_identifier(study, one) for one in series],
                lambda wanted: association.send_c_get(wanted, GET),
            )
        finally:
            receiver.ended(association)
            _close(association)

    def _move(self, study: str, series: Sequence[str]) -> Fetched:
        association = self._associate([build_context(MOVE)])
        try:
            return self._fetched(
                "C-MOVE",
                association,
                [_identifier(study, one) for one in series],
                lambda wanted: association.send_c_move(wanted, self.ae_title, MOVE),
            )
        finally:
            _close(association)

    def _fetched(
        self,
        by: str,
        association: Association,
        series: Sequence[Dataset],
        ask: Callable[[Dataset], Iterator[tuple[Dataset, Dataset | None]]],
    ) -> Fetched:
        """Ask for one series after the other and count what came; none of them at all is an error."""
        completed = failed = 0
        refused: list[str] = []
        for wanted in series:
            try:
                statuses = [status for status, _ in ask(wanted)]
            except RuntimeError:  # of pynetdicom, where the association has ended
                refused.append(_ABORTED)
                continue
            completed += max((_count(each, "NumberOfCompletedSuboperations") for each in statuses), default=0)
            if why := _why_not(statuses, (SUCCESS, _WARNING)):
                refused.append(why)
            else:
                failed += max((_count(each, "NumberOfFailedSuboperations") for each in statuses), default=0)
            if why == _NO_ANSWER:
                cut(association)  # it is over, which pynetdicom may yet have to notice
        if refused and not completed:
            hint = f"; does it know {self.ae_title}?" if by == "C-MOVE" else ""
            raise ArchiveError(f"{self.archive} did not give the study by {by}: {refused[0]}{hint}")
        return Fetched(by, completed, failed, tuple(refused))

    def _associate(
        self,
        contexts: list[PresentationContext],
        roles: Sequence[object] = (),
        handlers: Sequence[object] = (),
    ) -> Association:
        entity = Entity(self.ae_title, self.limits)
        peer = self.archive
        try:
            association = entity.associate(
                peer.host,
                peer.port,
                contexts=contexts,
                ae_title=peer.ae_title,
                max_pdu=self.limits.pdu_bytes,
                ext_neg=list(roles),  # type: ignore[arg-type]
                evt_handlers=list(handlers),  # type: ignore[arg-type]
                tls_args=(self.tls, peer.host) if self.tls is not None else None,
            )
        except (OSError, RuntimeError) as error:
            raise ArchiveError(f"{peer} cannot be reached: {error}") from error
        if not association.is_established:
            refused = (
                "rejected the association" if association.is_rejected else "cannot be reached, or takes none"
            )
            raise ArchiveError(f"{peer} {refused}: are AE titles, host and port right?")
        return association


class StudyJudged(NamedTuple):
    """What came of a study.

    Attributes
    ----------
    fetched : Fetched
    outcomes : dict of str to int
        How many films had which outcome.
    results, sent : int
        Objects that were made, and deliveries.
    unfinished : int
        Series that were not given, films without an answer, and deliveries that were not made.
    """

    fetched: Fetched
    outcomes: dict[str, int]
    results: int
    sent: int
    unfinished: int

    def __str__(self) -> str:
        """Return it in a line."""
        films = (
            ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items())) or "no films"
        )
        fetched = self.fetched
        kept = [f"{fetched.failed} others not sent by the archive"] if fetched.failed else []
        if fetched.refused:
            why = ", ".join(sorted(set(fetched.refused)))
            kept.append(f"{len(fetched.refused)} series not given by the archive: {why}")
        left = f", {self.unfinished} unfinished" if self.unfinished else ""
        came = f"{fetched.completed} objects by {fetched.by}" + (f" ({'; '.join(kept)})" if kept else "")
        return f"{came}: {films}; {self.results} results made, {self.sent} sent{left}"


def judge_study(
    node: Node, fetcher: Fetcher, study: str, output: Path | None, stop: threading.Event
) -> StudyJudged:
    """Fetch a study, judge its films, and wait until all results are delivered or given up.

    Parameters
    ----------
    node : Node
        With a spool of its own; it is started and stopped here.
    fetcher : Fetcher
    study : str
        Study Instance UID.
    output : Path, optional
        Folder that the results are written to, as ``<SOP Instance UID>.dcm``.
    stop : threading.Event
        Ends the wait.

    Raises
    ------
    UsageError, ArchiveError
        As :meth:`Fetcher.fetch`.
    """
    node.start(listen=False)
    try:
        fetched = fetcher.fetch(study, node.receiver, node.listen)
        counts = node.spool.counts()
        while (counts.received or counts.waiting) and not stop.wait(_LOOK_SECONDS):
            counts = node.spool.counts()
        made = node.spool.results_of(study)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            for uid, path in made:
                with written_whole(output / f"{uid}.dcm") as part:
                    part.write_bytes(path.read_bytes())
        outcomes = node.spool.outcomes_of(study)
        unanswered = outcomes.get("failed", 0) + outcomes.get("error", 0)
        unfinished = len(fetched.refused) + counts.received + unanswered + counts.waiting + counts.failed
        return StudyJudged(fetched, outcomes, len(made), counts.sent, unfinished)
    finally:
        node.stop()


def _film_contexts() -> list[PresentationContext]:
    """Return a context for each class and compressed syntax: an archive chooses one syntax of a context."""
    native: list[str | UID] = [syntax for syntax in READ_SYNTAXES if syntax in NATIVE]
    groups = [native]
    groups += [[syntax] for syntax in READ_SYNTAXES if syntax not in NATIVE]
    every = [build_context(film_class, group) for film_class in FILM_CLASSES for group in groups]
    return every[:_MOST_CONTEXTS]


def _identifier(study: str, series: str = "") -> Dataset:
    wanted = Dataset()
    wanted.QueryRetrieveLevel = "SERIES"
    wanted.StudyInstanceUID = study
    wanted.SeriesInstanceUID = series
    return wanted


def _may_hold_films(series: Dataset) -> bool:
    ours = str(series.get("SeriesDescription") or "") in DESCRIPTIONS
    return (
        not ours and text_of(series, "Modality") in _FILM_MODALITIES and bool(series.get("SeriesInstanceUID"))
    )


def _count(answer: Dataset, keyword: str) -> int:
    return int(answer.get(keyword) or 0)


def _why_not(statuses: Sequence[Dataset], good: Sequence[int]) -> str:
    """Return why a request was not met, by the last of its statuses; nothing where it was."""
    if not statuses or not statuses[-1]:  # pynetdicom's, where no answer came in time, or at all
        return _NO_ANSWER
    status = int(statuses[-1].Status)
    return "" if status in good else f"status 0x{status:04X}"


def _close(association: Association) -> None:
    if association.is_established:
        association.release()
    cut(association)
