"""Why there is no finding, in the language that is spoken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumocascade.i18n import ENGLISH, gettext, gettext_noop, language, translated

if TYPE_CHECKING:
    from pneumocascade.types import Reason

_DAMAGED = gettext_noop("The file is damaged, or is no picture of a kind that is read here.")

READ_ERRORS = {
    "unreadable_image": _DAMAGED,
    "truncated_image": gettext_noop("The file ends before the picture is complete."),
    "decoder_failed": _DAMAGED,
    "decoder_timeout": gettext_noop("It took too long to read the file."),
    "decoder_not_started": gettext_noop("No process could be started to read the file. Please try again."),
    "unsupported_format": gettext_noop("Files of this kind are not read here."),
    "unsupported_transfer_syntax": gettext_noop(
        "The DICOM object has a transfer syntax that is not read here."
    ),
    "file_not_found": gettext_noop("There is no such file."),
    "not_a_file": gettext_noop("This is not a regular file."),
    "permission_denied": gettext_noop("There is no permission to read the file."),
    "empty_file": gettext_noop("The file is empty."),
    "unreadable_file": gettext_noop("The file cannot be read."),
    "too_many_pixels": gettext_noop("The picture has more pixels than are read here."),
    "too_few_pixels": gettext_noop("The picture has too few pixels."),
    "constant_image": gettext_noop("All pixels have the same grey value: there is nothing to see."),
    "multiple_frames": gettext_noop("The file holds several pictures; give each film as a file of its own."),
    "no_pixels": gettext_noop("The DICOM object holds no picture."),
    "incomplete_object": gettext_noop("The DICOM object is incomplete."),
    "burned_in_annotation": gettext_noop("The picture may hold burned-in data of the patient."),
    "bad_shape": gettext_noop("The picture is not laid out as expected."),
    "bad_dtype": gettext_noop("The picture's pixels are of a kind that is not read here."),
    "bad_value_range": gettext_noop("The picture's values are not in the range expected."),
    "non_finite_values": gettext_noop("Some of the picture's values are no numbers."),
}
"""What a code means, in place of a message that has no translation: messages on files name what was found."""


def reason_text(reason: Reason) -> str:
    """Return a reason for people; outside English, of a file that could not be read, what its code means."""
    text = translated(reason.message)
    if language() != ENGLISH and text == reason.message and reason.code in READ_ERRORS:
        return gettext(READ_ERRORS[reason.code])
    return text
