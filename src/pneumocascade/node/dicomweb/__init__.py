"""DICOMweb (PS3.18): STOW-RS in, QIDO-RS and WADO-RS of results, and results by STOW-RS to an archive."""
