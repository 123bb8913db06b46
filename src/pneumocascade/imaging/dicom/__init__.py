"""DICOM objects in: from bytes to the grey picture that a viewer would show, and how it was made.

Nothing here is imported with the package: reading a JPEG does not load pydicom.
"""
