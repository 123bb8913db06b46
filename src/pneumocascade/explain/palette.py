"""The colours of all plots: told apart with every common kind of colour vision (Okabe and Ito, 2008)."""

from __future__ import annotations

OKABE_ITO = {
    "orange": "#e69f00",
    "sky blue": "#56b4e9",
    "green": "#009e73",
    "yellow": "#f0e442",
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "purple": "#cc79a7",
}
"""By name. Green, vermillion and purple have a contrast of 3:1 to white and to the dark page alike."""
