"""What leaves the package for people and archives: reports to read, and DICOM objects."""
