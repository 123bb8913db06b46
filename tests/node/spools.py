"""Objects in a spool, as a sender would have brought them."""

from __future__ import annotations

from pneumocascade.node.spool import ReceivedFilm, Spool


def receive(
    spool: Spool, content: bytes = b"film", uid: str = "1.2.3", models: str = "1.0.0"
) -> ReceivedFilm | None:
    """Let a spool take an object; return ``None`` where it has it."""
    with spool.incoming() as incoming:
        incoming.write(content)
        return incoming.keep(uid, "1.2", content.hex(), models)
