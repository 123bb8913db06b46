"""What the node calls itself on the network (PS3.7, D.3.3.2); without pydicom, for the command line."""

from __future__ import annotations

import uuid

from pneumocascade import __version__

AE_TITLE = "PNEUMOCASCADE"
"""By default."""

IMPLEMENTATION_UID = f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, 'urn:pneumocascade:node').int}"
"""The same for every version."""

IMPLEMENTATION_VERSION = f"PNCASCADE_{__version__.partition('+')[0]}"[:16]
