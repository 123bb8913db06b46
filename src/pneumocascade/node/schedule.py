"""When a film's turn comes: at the end of its association, or after a pause of its study."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from pneumocascade.node.spool import ReceivedFilm


@dataclass(slots=True)
class _Study:
    films: list[ReceivedFilm] = field(default_factory=list)
    associations: set[int] = field(default_factory=set)
    last: float = 0.0


class Schedule:
    """Films that are received and not judged yet. May be shared between threads.

    Parameters
    ----------
    pause : float
        Seconds without a new object after which a study's films have their turn although it is open.
    """

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self._studies: dict[str, _Study] = {}
        self._ready: deque[ReceivedFilm] = deque()
        self._later: list[tuple[float, ReceivedFilm]] = []
        self._open = True
        self._changed = threading.Condition()

    def __len__(self) -> int:
        with self._changed:
            waiting = sum(len(study.films) for study in self._studies.values())
            return waiting + len(self._ready) + len(self._later)

    def add_ready(self, films: Iterable[ReceivedFilm]) -> None:
        """Give films their turn at once: they were received before the process started."""
        with self._changed:
            self._ready.extend(films)
            self._changed.notify_all()

    def add(self, film: ReceivedFilm, association: int) -> None:
        """Take a film that came on an association, by its number."""
        with self._changed:
            study = self._studies.setdefault(film.study_uid, _Study())
            study.films.append(film)
            study.associations.add(association)
            study.last = time.monotonic()
            self._changed.notify_all()

    def ended(self, association: int) -> None:
        """Give the films of an association their turn, unless another one sends their study, too."""
        with self._changed:
            for uid, study in list(self._studies.items()):
                study.associations.discard(association)
                if not study.associations:
                    self._turn(uid)
            self._changed.notify_all()

    def again(self, film: ReceivedFilm, seconds: float) -> None:
        """Give a film that could not be judged another turn after some seconds."""
        with self._changed:
            self._later.append((time.monotonic() + seconds, film))
            self._changed.notify_all()

    def take(self) -> ReceivedFilm | None:
        """Return the next film when there is one; ``None`` where the schedule is closed."""
        with self._changed:
            while self._open:
                wait = self._advance()
                if self._ready:
                    return self._ready.popleft()
                self._changed.wait(wait)
            return None

    def close(self) -> None:
        """Let nobody wait for a film any more."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def _turn(self, uid: str) -> None:
        self._ready.extend(self._studies.pop(uid).films)

    def _advance(self) -> float | None:
        """Give their turn to films whose time has come; return the seconds to the next such moment."""
        now = time.monotonic()
        for uid, study in list(self._studies.items()):
            if study.last + self._pause <= now:
                self._turn(uid)
        self._ready.extend(film for moment, film in self._later if moment <= now)
        self._later = [each for each in self._later if each[0] > now]
        moments = [study.last + self._pause for study in self._studies.values()]
        moments += [moment for moment, _ in self._later]
        return max(0.0, min(moments) - now) if moments else None
