"""What ``pneumocascade doctor`` looks at: is this installation whole, and what mends it where it is not."""
