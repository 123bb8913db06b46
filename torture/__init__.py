"""What tries to break the software, on purpose; each command prints its figures and keeps them."""
