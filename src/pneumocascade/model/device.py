"""What this software and its models are called as a device, in DICOM objects and FHIR resources alike."""

from __future__ import annotations

import uuid

from pneumocascade import __version__


def device_uid(version: str) -> str:
    """Return the UID of this software as a device: the same wherever this version and its models run.

    Parameters
    ----------
    version : str
        Of the models.

    Returns
    -------
    str
        Derived from a name-based UUID (PS3.5, B.2).
    """
    name = f"urn:pneumocascade:{__version__}:models:{version}"
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, name).int}"
