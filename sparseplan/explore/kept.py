"""Which of a law's draws travel with a page."""

import numpy as np
from numpy.typing import NDArray

MOST_DRAWS = 1000
"""Draws of a law that travel with a page; of more, as many at even distances."""


def kept(count: int, whole: int) -> NDArray[np.intp]:
    """Which of a form's draws travel, where all its law's forms together have `whole`."""
    most = count if whole <= MOST_DRAWS else max(2, round(count * MOST_DRAWS / whole))
    return np.linspace(0, count - 1, most).round().astype(np.intp)
