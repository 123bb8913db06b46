"""What ``pneumocascade doctor`` checks: whether this installation is whole, and how to mend it."""
