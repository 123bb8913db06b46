"""Bytes, files, arrays and DICOM objects become a :class:`~pneumocascade.types.Radiograph`."""
