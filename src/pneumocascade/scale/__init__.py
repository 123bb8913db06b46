"""The same cascade on many machines."""
