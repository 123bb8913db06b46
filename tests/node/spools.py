"""Objects in a spool, as a sender would have brought them, and results that wait in it."""

from __future__ import annotations

from pneumocascade.node.spool import ReceivedFilm, ResultObject, Spool
from tests.reports.sources import MEANS, film_object, film_of, saved


def receive(
    spool: Spool, content: bytes = b"film", uid: str = "1.2.3", models: str = "1.0.0"
) -> ReceivedFilm | None:
    """Let a spool take an object; return ``None`` where it has it."""
    with spool.incoming() as incoming:
        incoming.write(content)
        return incoming.keep(uid, "1.2", content.hex(), models)


def add_results(spool: Spool, destination: str, count: int) -> None:
    """Let results wait for a destination."""
    film = receive(spool)
    assert film is not None
    made = [film_object(film_of(MEANS["normal"]), "SC") for _ in range(count)]
    results = [
        ResultObject("sc", str(each.SOPClassUID), str(each.SOPInstanceUID), saved(each)) for each in made
    ]
    spool.finish(film, "normal", "", results, [destination])


def spoil_first_results(spool: Spool, destination: str) -> None:
    """Delete the file of the first result, cut and overwrite the next, let one be unreadable."""
    gone, cut, overwritten, unreadable = (each.path for each in spool.due(destination, 4))
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:700])
    overwritten.write_bytes(b"\0" * overwritten.stat().st_size)
    unreadable.unlink()
    unreadable.mkdir()
