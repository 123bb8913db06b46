"""UIDs of results that follow from what they are results of.

Whatever is made again, after a crash or where a film is sent again, has the UIDs that it had before: an
archive keeps one instance of it.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

_NAMESPACE = uuid.UUID("5d6f1c1e-8e53-5bd0-9a3b-0d6ad9d0e9a4")


_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Return whether text is a UID: digits and dots, at most 64 (PS3.5, 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a result is a result of.

    Attributes
    ----------
    sop_instance_uid : str
        Of the film's object.
    pixels_sha256 : str
        Of the film's grey values.
    model_version, operating_point : str
        Of the answer.
    """

    sop_instance_uid: str
    pixels_sha256: str
    model_version: str
    operating_point: str

    def uid(self, *parts: str) -> str:
        """Return the UID of a part of a result, by its kind and what it is within it.

        Derived from a name-based UUID, version 5 (PS3.5, B.2; RFC 9562, 5.5).
        """
        known = (self.sop_instance_uid, self.model_version, self.operating_point, self.pixels_sha256)
        return f"2.25.{uuid.uuid5(_NAMESPACE, '|'.join((*known, *parts))).int}"
