"""A DICOM node, which takes films by C-STORE and sends results to an archive; and a watched folder."""
