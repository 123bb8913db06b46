"""Answers as FHIR R4 resources: one Bundle a film, of plain dictionaries, without another package."""
