"""``pneumocascade node`` whose senders wait less, and whose time passes faster: part of ``torture.node``.

    python -m torture.fast_node FACTOR BEGAN node --port 11112 ...

Pauses of the senders are FACTOR times as short. The clock by which they and the spool tell how old something
is, and when it is due, runs FACTOR times as fast since BEGAN (seconds since 1970); with 0 it stays right.
Sockets, decoders and judging keep the right time. libfaketime cannot do this: the waits of Python's
threads (``sem_clockwait``) are not among the calls that it speeds up.
"""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace

from pneumocascade.cli import main as run
from pneumocascade.node import sender, spool


def fast_clock(factor: float, began: float) -> SimpleNamespace:
    """Return what takes the place of the module ``time``."""
    return SimpleNamespace(time=lambda: began + (time.time() - began) * factor)


def fast_threading(factor: float) -> SimpleNamespace:
    """Return what takes the place of the module ``threading``."""

    class FastEvent(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return super().wait(None if timeout is None else timeout / factor)

    return SimpleNamespace(Event=FastEvent, Thread=threading.Thread)


def main() -> None:
    """Run the command that follows the two numbers."""
    factor, began = float(sys.argv.pop(1)), float(sys.argv.pop(1))
    if began:
        vars(spool)["time"] = vars(sender)["time"] = fast_clock(factor, began)
    vars(sender)["threading"] = fast_threading(factor)
    run()


if __name__ == "__main__":
    main()
