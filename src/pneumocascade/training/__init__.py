"""Training of the two stages: data, split, augmentation, network, loop and export.

Needs the extra ``[train]`` (PyTorch, MONAI). Nothing outside imports this package but the command
line, and that only when a training command is run.
"""
