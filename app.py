"""The Hugging Face Space: web app and REST API on the port that Spaces expect."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from pneumocascade import Cascade
from pneumocascade.server import Access, serve

if __name__ == "__main__":
    # A Space is reached from outside, and shown in a frame.
    access = Access(frame_ancestors="https://huggingface.co")
    serve(Cascade.load(), host="0.0.0.0", port=7860, access=access)  # noqa: S104
