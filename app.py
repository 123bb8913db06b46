"""The Hugging Face Space: web app and REST API on the port that Spaces expect."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "src"))

from pneumocascade import Cascade
from pneumocascade.audit.logs import set_up
from pneumocascade.inference.worker_pool import IsolatedReader
from pneumocascade.model.engines.processor import usable_cores
from pneumocascade.server import Access, serve

if __name__ == "__main__":
    os.environ["PYTHONPATH"] = sys.path[0]  # where the processes that decode find the package
    set_up()
    cores = usable_cores()
    cascade = Cascade.load(threads=cores, reader=IsolatedReader(cores))
    # A Space is reached from outside, and shown in a frame.
    access = Access(frame_ancestors="https://huggingface.co")
    serve(cascade, host="0.0.0.0", port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")), access=access)  # noqa: S104
