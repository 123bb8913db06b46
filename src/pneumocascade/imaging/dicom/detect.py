"""Are these bytes a DICOM object? Without pydicom, since every film is asked."""

from __future__ import annotations

import struct

DICOM_HEAD = 132
"""Bytes at the beginning that :func:`is_dicom` needs: preamble and prefix."""

_VRS = frozenset({b"UL", b"OB", b"UI", b"SH", b"AE", b"CS", b"LO", b"DA", b"TM", b"DT", b"ST", b"PN", b"SQ"})
"""Value representations that the first element of group 0002 or 0008 may have."""

_LAST_ELEMENT = 0x0060
"""The first element of an object is no later than this one of its group (0008,0060: Modality)."""

_LONGEST = 256
"""Bytes that the first element of an object holds at most, where its VR is not said."""


def is_dicom(data: bytes) -> bool:
    """Return whether bytes look like a DICOM object.

    True for the prefix ``DICM`` behind a preamble of 128 bytes, whatever the preamble is (it may be that
    of a TIFF file; DICOM PS3.10, 7.1), and for a data set without both that begins with an element of
    group 0002 or 0008 in explicit or implicit VR, little or big endian (PS3.5, 7.1).

    Parameters
    ----------
    data : bytes
        The whole object, or its first ``DICOM_HEAD`` bytes.
    """
    if data[128:132] == b"DICM":
        return True
    return len(data) >= 8 and any(_begins_data_set(data, order) for order in "<>")


def _begins_data_set(data: bytes, order: str) -> bool:
    group, element, length = struct.unpack_from(f"{order}HHI", data)
    if group not in (0x0002, 0x0008) or element > _LAST_ELEMENT:
        return False
    if data[4:6] in _VRS:
        return True
    return order == "<" and length <= _LONGEST and length % 2 == 0 and len(data) > 8
