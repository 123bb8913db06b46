"""A plugin for pydicom: lossless JPEG, and JPEG Extended of 8 or 12 bits, decoded by libjpeg-turbo.

Of pydicom's own plugins one needs a library under the GPL, and the other, GDCM, decodes no 12 bits there
and ends the whole process on some damaged bytes. libjpeg-turbo comes with imagecodecs (BSD).
"""

from __future__ import annotations

import imagecodecs
import numpy as np
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

NAME = "libjpeg-turbo"
"""Of the plugin."""

DECODER_DEPENDENCIES = {
    JPEGExtended12Bit: ("imagecodecs",),
    JPEGLossless: ("imagecodecs",),
    JPEGLosslessSV1: ("imagecodecs",),
}
"""Transfer syntaxes that it decodes, and what they need; pydicom asks every plugin for this."""


def is_available(uid: str) -> bool:
    """Return whether this plugin decodes a transfer syntax."""
    return uid in DECODER_DEPENDENCIES


def register() -> None:
    """Make pydicom know this plugin; a second call changes nothing."""
    for syntax in DECODER_DEPENDENCIES:
        decoder = get_decoder(syntax)
        if NAME not in decoder.available_plugins:
            decoder.add_plugin(NAME, (__name__, "decode_frame"))


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """Return the samples of a frame as they are in the codestream, without any change of colours.

    Parameters
    ----------
    source : bytes
        The codestream.
    runner : pydicom.pixels.decoders.base.DecodeRunner
        pydicom's options; it is told how many bits each sample takes.
    """
    colours = "rgb" if runner.samples_per_pixel == 3 else None
    samples = np.asarray(imagecodecs.jpeg8_decode(source, colorspace=colours, outcolorspace=colours))
    runner.set_option("bits_allocated", 8 * samples.dtype.itemsize)
    if runner.samples_per_pixel == 3:
        runner.set_option("planar_configuration", 0)
    return samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()


register()
