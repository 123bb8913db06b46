"""How DICOM objects are made: without warnings of pydicom, and with an error of this package on failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pneumocascade.errors import MissingExtraError, PneumocascadeError, UnsuitableImageError

try:
    from pneumocascade.imaging.dicom.quiet import quiet
except ModuleNotFoundError as error:
    raise MissingExtraError("a DICOM object", "report") from error


@contextmanager
def film_errors(what: str) -> Iterator[None]:
    """Turn what a library raises on an attribute of a film into a :class:`FilmError`; also a decorator.

    Warnings of pydicom, which quote values of the object, are kept back.

    Parameters
    ----------
    what : str
        What is made, with its article, for the message.

    Raises
    ------
    UnsuitableImageError
        ``incomplete_object``. What is wrong is told by the kind of the library's error alone: its text may
        quote the patient's name.
    """
    with quiet():
        try:
            yield
        except (PneumocascadeError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  pydicom and highdicom raise many kinds on odd values
            raise UnsuitableImageError(
                "incomplete_object",
                f"the DICOM object has an attribute that {what} cannot be made with ({type(error).__name__})",
            ) from None
