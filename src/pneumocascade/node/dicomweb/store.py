"""STOW-RS (PS3.18, 10.5): from the body of a request to the spool, and what is answered."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence as DicomSequence

from pneumocascade.errors import FilmError, StorageError, UnreadableImageError
from pneumocascade.imaging.dicom.detect import DICOM_HEAD
from pneumocascade.imaging.dicom.frames import READ_SYNTAXES
from pneumocascade.imaging.dicom.quiet import quiet
from pneumocascade.imaging.dicom.values import text_of
from pneumocascade.node.intake import ObjectHead, content_digest, head_of
from pneumocascade.node.receiver import (
    CANNOT_UNDERSTAND,
    DOES_NOT_MATCH,
    FILM_CLASSES,
    OUT_OF_RESOURCES,
    SUCCESS,
)
from pneumocascade.node.uids import is_uid

if TYPE_CHECKING:
    from collections.abc import Callable

    from pneumocascade.node.intake import Intake
    from pneumocascade.node.metrics import NodeMetrics
    from pneumocascade.node.spool import IncomingObject

OBJECT_TOO_LARGE = 0xA701
CLASS_NOT_SUPPORTED = 0x0122
SYNTAX_NOT_SUPPORTED = 0xC122
"""Failure reasons besides those of C-STORE (PS3.18, I.2.2)."""

APPLICATION_DICOM = "application/dicom"

_PIECE = 1 << 20
_log = logging.getLogger(__name__)


class StoredObject(NamedTuple):
    """What became of one part.

    Attributes
    ----------
    status : int
        0, or a failure reason.
    head : ObjectHead or None
        ``None`` where the part could not be read.
    """

    status: int
    head: ObjectHead | None


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What is answered.

    Attributes
    ----------
    status : int
        Of HTTP: 200 where all objects were taken, 202 where some were, 409 where none were, 503 where
        the spool has no room.
    dataset : pydicom.Dataset
        The store instances response (PS3.18, I.2).
    """

    status: int
    dataset: Dataset


class StoreRequest:
    """Takes the parts of one request into the spool, as they come; each is on the disk when it is whole.

    Parameters
    ----------
    intake : Intake
    object_bytes : int
        Largest object.
    metrics : NodeMetrics
    study : str
        Study Instance UID that objects must have; empty for any.
    """

    def __init__(self, intake: Intake, object_bytes: int, metrics: NodeMetrics, study: str = "") -> None:
        self._intake = intake
        self._object_bytes = object_bytes
        self._metrics = metrics
        self._study = study
        self._incoming: IncomingObject | None = None
        self._status = SUCCESS
        self.stored: list[StoredObject] = []

    def begin(self, media_type: str) -> None:
        """Make room for a part."""
        self._status = SUCCESS
        if media_type not in (APPLICATION_DICOM, ""):
            self._status = CANNOT_UNDERSTAND
            return
        try:
            self._incoming = self._intake.spool.incoming()
        except StorageError as error:
            self._no_room(error)

    def data(self, piece: memoryview) -> None:
        """Write a piece; of a part that has failed, pass it over."""
        if self._incoming is None:
            return
        if self._incoming.size + len(piece) > self._object_bytes:
            _log.warning("an object was refused: it is too large", extra={"bytes": self._incoming.size})
            self._fail(OBJECT_TOO_LARGE)
            return
        try:
            self._incoming.write(piece)
        except StorageError as error:
            self._no_room(error)

    def end(self) -> None:
        """Keep a whole part, or note why not."""
        head = None
        if self._incoming is not None:
            try:
                head, self._status = self._kept(self._incoming)
            except StorageError as error:
                self._no_room(error)
            except FilmError:
                _log.warning("an object was refused: it cannot be read", extra={"bytes": self._incoming.size})
                self._status = CANNOT_UNDERSTAND
        self._drop()
        self._metrics.stored(self._status)
        self.stored.append(StoredObject(self._status, head))

    def close(self) -> None:
        """Forget a part that did not come to its end, and give what was taken its turn."""
        self._drop()
        self._intake.ended(id(self))

    def answer(self, url_of: Callable[[str], str]) -> StoreAnswer:
        """Return what is answered.

        Parameters
        ----------
        url_of : callable
            Returns the URL of a study.
        """
        taken = [each for each in self.stored if each.status == SUCCESS]
        failed = [each for each in self.stored if each.status != SUCCESS]
        answer = Dataset()
        studies = {each.head.study_uid for each in taken if each.head}
        if len(studies) == 1:
            answer.RetrieveURL = url_of(studies.pop())
        _add(answer, "ReferencedSOPSequence", [_reference(each) for each in taken])
        _add(answer, "FailedSOPSequence", [_reference(each) for each in failed if each.head])
        _add(answer, "OtherFailuresSequence", [_reference(each) for each in failed if not each.head])
        if not failed:
            return StoreAnswer(200, answer)
        if taken:
            return StoreAnswer(202, answer)
        full = all(each.status == OUT_OF_RESOURCES for each in failed)
        return StoreAnswer(503 if full else 409, answer)

    def _kept(self, incoming: IncomingObject) -> tuple[ObjectHead, int]:
        """Put an object into the spool, unless it is there; return its head and the status.

        Raises
        ------
        FilmError
            Where it cannot be read.
        StorageError
            Where it cannot be kept.
        """
        incoming.flush()
        with incoming.path.open("rb") as stream:
            syntax = _to_content(stream)
            digest = content_digest(syntax)
            while piece := stream.read(_PIECE):
                digest.update(piece)
            stream.seek(0)
            head = head_of(stream)
        known = digest.hexdigest()
        status = self._status_of(head, syntax)
        if status == SUCCESS and not head.ours and not self._intake.has(head, known):
            self._intake.keep(incoming, head, known, id(self))
        return head, status

    def _status_of(self, head: ObjectHead, syntax: str) -> int:
        if not all(map(is_uid, (head.sop_class_uid, head.sop_instance_uid, head.study_uid))):
            _log.warning("an object was refused: it lacks a UID")
            return DOES_NOT_MATCH
        if self._study and head.study_uid != self._study:
            _log.warning("an object was refused: it is of another study than the request names")
            return DOES_NOT_MATCH
        if head.ours:  # an archive that forwards a whole study would have its results judged, and so on
            _log.info("a result of this software was taken and left out")
            return SUCCESS
        if head.sop_class_uid not in FILM_CLASSES:
            return CLASS_NOT_SUPPORTED
        return SUCCESS if syntax in READ_SYNTAXES else SYNTAX_NOT_SUPPORTED

    def _no_room(self, error: StorageError) -> None:
        _log.error("an object was refused: the spool takes nothing", exc_info=error)
        self._fail(OUT_OF_RESOURCES)

    def _fail(self, status: int) -> None:
        self._status = status
        self._drop()

    def _drop(self) -> None:
        if self._incoming is not None:
            self._incoming.__exit__()
            self._incoming = None


def _to_content(stream: BinaryIO) -> str:
    """Go behind the file meta information (PS3.10, 7.1) and return the transfer syntax that it names.

    Raises
    ------
    UnreadableImageError
        Where there is none.
    """
    if stream.read(DICOM_HEAD)[128:] != b"DICM":
        raise UnreadableImageError("unreadable_image", "this is not a DICOM file (PS3.10)")
    try:
        with quiet():
            meta = read_dataset(
                stream, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, *_: tag.group != 2
            )
            syntax = text_of(meta, "TransferSyntaxUID")
    except Exception as error:  # noqa: BLE001  pydicom raises many kinds on damaged bytes
        kind = type(error).__name__
        raise UnreadableImageError(
            "unreadable_image", f"the file meta information is damaged ({kind})"
        ) from None
    if not is_uid(syntax):
        raise UnreadableImageError("unreadable_image", "the file meta information names no transfer syntax")
    return syntax


def _reference(stored: StoredObject) -> Dataset:
    item = Dataset()
    if stored.head is not None:
        item.ReferencedSOPClassUID = _uid_or_none(stored.head.sop_class_uid)
        item.ReferencedSOPInstanceUID = _uid_or_none(stored.head.sop_instance_uid)
    if stored.status == SUCCESS:
        item.RetrieveURL = ""  # films are taken to be judged: their archive has them
    else:
        item.FailureReason = stored.status
    return item


def _uid_or_none(text: str) -> str:
    return text if is_uid(text) else ""


def _add(answer: Dataset, keyword: str, items: list[Dataset]) -> None:
    if items:
        setattr(answer, keyword, DicomSequence(items))
