"""Every exception the package raises on purpose.

::

    PneumocascadeError
    ├── FilmError               one film could not be read; carries a ``code``; a batch goes on
    │   ├── FileAccessError     file_not_found, not_a_file, permission_denied, empty_file, unreadable_file
    │   ├── UnreadableImageError  unreadable_image, truncated_image, unsupported_format,
    │   │                         unsupported_transfer_syntax, decoder_failed,
    │   │                         decoder_timeout, decoder_not_started
    │   └── UnsuitableImageError  too_many_pixels, too_few_pixels, constant_image, multiple_frames,
    │                             bad_shape, bad_dtype, bad_value_range, non_finite_values, no_pixels,
    │                             no_such_frame, incomplete_object, burned_in_annotation
    ├── ModelError              a model is missing, altered, or not one of ours; nothing is answered
    │   ├── ModelChecksumError  the file's SHA-256 is not the manifest's
    │   └── ModelSpecError      the file carries no usable ``ModelSpec``
    ├── DataSetError            a data set's folders, names or classes are not as expected
    ├── TrainingError           a training run cannot start, resume or be exported
    ├── EngineError             Ray cannot be reached, or gave the run up; what was answered is kept
    ├── StorageError            what must be kept could not be: a disk is full, read-only or damaged
    ├── ArchiveError            a DICOM archive cannot be reached, or does not give what was asked for
    ├── BusyError               the server takes no film at the moment; says when to try again
    ├── MissingExtraError       an optional part of the package is not installed
    └── UsageError              an argument has a value that makes no sense

Messages say what was found, what was expected and what to do.
"""

from __future__ import annotations


class PneumocascadeError(Exception):
    """Base of all errors raised on purpose by this package."""


class FilmError(PneumocascadeError):
    """One film could not be read or is not something a model can be given.

    Parameters
    ----------
    code : str
        Machine-readable reason, one of those in this module's docstring.
    message : str
        One sentence: what was found, what was expected.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)  # both, so that it can come back from another process
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class FileAccessError(FilmError):
    """The file is missing, empty, not a regular file, or may not be opened."""


class UnreadableImageError(FilmError):
    """The bytes are not an image of a supported format, or they are damaged."""


class UnsuitableImageError(FilmError):
    """The image was understood, but nothing a model could judge is in it."""


class ModelError(PneumocascadeError):
    """A model file is missing or unusable."""


class ModelChecksumError(ModelError):
    """A model file is not the one that its manifest describes."""


class ModelSpecError(ModelError):
    """A model file carries no ``ModelSpec``, or one that makes no sense."""


class DataSetError(PneumocascadeError):
    """A data set is not laid out or named as expected."""


class TrainingError(PneumocascadeError):
    """A training run cannot start, go on, or be exported."""


class EngineError(PneumocascadeError):
    """What runs the films on many machines cannot be reached, or gave the run up."""


class StorageError(PneumocascadeError):
    """What must be kept could not be written or read: a disk is full, read-only or damaged."""


class ArchiveError(PneumocascadeError):
    """A DICOM archive cannot be reached, or does not give what was asked for."""


class BusyError(PneumocascadeError):
    """No film can be taken at the moment: too many wait, or the server is stopping.

    Parameters
    ----------
    message : str
    retry_after : int
        Seconds after which to try again, at least 1.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, retry_after)
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class MissingExtraError(PneumocascadeError):
    """A command needs an optional dependency that is not installed.

    Parameters
    ----------
    what : str
        What was asked for, for instance ``"training"``.
    extra : str
        Name of the extra of this package that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(what, extra)
        self.what = what
        self.extra = extra

    def __str__(self) -> str:
        install = f"pip install 'pneumocascade[{self.extra}]'"
        return f"{self.what} needs packages that are not installed: run {install}"


class UsageError(PneumocascadeError):
    """An argument has a value that makes no sense; the message says which would."""
