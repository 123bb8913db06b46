"""Predictions become files: JSON, CSV and Parquet rows, resumed runs, runs on many machines."""
