"""Colours and style of figures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT = "#1c2430", "#647284"
"""Of words on white paper."""
LIGHT_INK = "#e8ecf1"
"""Of words on images."""
# Okabe & Ito's colours, distinct for colour-blind eyes too.
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A7A7A", "#8C6D1F")
ROLE_COLOURS = {"organ": "#6fb7ff", "lesion": "#4df0e0", "context": "#b9e07a"}
"""Of region outlines on grey images."""
STYLE: dict[str, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.parse_math": False,  # a class may be called "$x$"
    "svg.fonttype": "path",
    "svg.hashsalt": "reactkd_auto",
}


def class_colour(index: int) -> str:
    """Colour of the class with this index."""
    return COLOURS[index % len(COLOURS)]


def svg_bytes(figure: Figure, *, tight: bool = True) -> bytes:
    """The figure as SVG, cut to what is drawn if ``tight``; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight" if tight else None, metadata={"Date": None})
    return buffer.getvalue()
