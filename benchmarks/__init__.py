"""What is measured, and with what: each file says how it is run."""
