"""The colours of every picture, and of cells on a terminal; without matplotlib, so that a terminal needs none.

Sparsities run from yellow to violet as they rise (viridis): even steps to the eye, readable with any colour blindness,
and darker throughout, so readable in print without colour. Series are told apart by marker and line as well.
"""

import math

DENSE = "#e6e6e6"
"""Where dense is best: a grey that is no sparsity."""
INK = "#1a1a1a"
ACCENT = "#d55e00"
SERIES = ("#1a1a1a", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's colours for what has no order, the yellow that white paper swallows left out."""
MARKERS = "osD^vP*X<>"
LINES = ("-", "--", ":", "-.", (0, (4, 1, 1, 1, 1, 1)), (0, (1, 2)), (0, (6, 2)), (0, (2, 1)))
FADE = 0.6
"""How much of a colour turns white where an answer is extrapolated."""

RAMP = (
    *("#f1e51d", "#bddf26", "#86d549", "#58c765", "#32b67a", "#20a386"),
    *("#21918c", "#287d8e", "#306a8e", "#3a548c", "#433e85", "#482475"),
)
HALVINGS = 4.0
"""Halvings of the density from one end to the other: 93.75 % and beyond are darkest."""


def sparsity_color(sparsity: float) -> str:
    """The colour of a sparsity, the same in every picture; that of dense models at 0.

    >>> sparsity_color(0.0), sparsity_color(0.9375), sparsity_color(0.999)
    ('#e6e6e6', '#482475', '#482475')
    """
    if sparsity <= 0.0:
        return DENSE
    at = min(halvings(sparsity) / HALVINGS, 1.0) * (len(RAMP) - 1)
    low = min(int(at), len(RAMP) - 2)
    return mixed(RAMP[low], RAMP[low + 1], at - low)


def halvings(sparsity: float) -> float:
    """How often the density was halved: the scale on which sparsities are even steps.

    >>> halvings(0.5), halvings(0.75)
    (1.0, 2.0)
    """
    return -math.log2(max(1.0 - sparsity, 1e-12))


def faded(color: str) -> str:
    """A colour as it looks where an answer is extrapolated."""
    return mixed(color, "#ffffff", FADE)


def mixed(one: str, other: str, share: float) -> str:
    """A colour between two, `share` of the way to the other.

    >>> mixed("#000000", "#ffffff", 0.5)
    '#808080'
    """
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(_rgb(one), _rgb(other), strict=True))


def lightness(color: str) -> float:
    """How light a colour is, 0 to 1, as printed without colour (CIE luminance of sRGB).

    >>> round(lightness("#ffffff"), 3)
    1.0
    """
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in _rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def ink_on(color: str) -> str:
    """Black or white, whichever is easier to read on a colour (WCAG contrast)."""
    return "#000000" if (lightness(color) + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
