"""pydicom says odd values in warnings and logs, patient attributes among them: here it does not."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_LOGGER = logging.getLogger("pydicom")
_lock = threading.Lock()
_inside = 0
_undo = ExitStack()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings and log records to itself while a film is read.

    They may quote values of the object. Filters of warnings and levels of loggers belong to the whole
    process: the first thread that comes in sets them, the last that goes out puts back what was there.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _silence()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _undo.close()


def _silence() -> None:
    _undo.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    _undo.callback(_LOGGER.setLevel, _LOGGER.level)
    _LOGGER.setLevel(logging.CRITICAL + 1)
