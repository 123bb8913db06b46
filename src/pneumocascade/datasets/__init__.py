"""Labelled films on disk, and changes to films that leave their finding alone."""
