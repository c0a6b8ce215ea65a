"""How losses move with size, data and sparsity, by a plain power law: whether the runs can be what the law describes.

log L = k + n log N + d log D + s log(1 - S), by least squares. Where losses are losses and the columns are what they
say, n and d are below 0, and s is above 0: of two models with equal N the sparser was pruned from a larger one.
"""

from dataclasses import dataclass

import numpy as np

from sparseplan.fit.levels import count_levels
from sparseplan.laws.forms.fitting.coordinates import Array, Design

_CLEAR = 2.0
_NOTHING = 1e-6
_LINE = 1e-2
"""Axes are on a line where the runs spread by less than this share along one of their directions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """The slope of log L along one axis, and its standard error; power-law misfit counts as noise."""

    slope: float
    error: float

    @property
    def rises(self) -> bool:
        """Whether the slope is clearly above 0."""
        return self.slope > max(_CLEAR * self.error, _NOTHING)

    @property
    def falls(self) -> bool:
        """Whether it is clearly below 0."""
        return self.slope < -max(_CLEAR * self.error, _NOTHING)


def trends(design: Design, measured: Array) -> dict[str, Trend]:
    """Trends by axis: N, D, and S, whose slope is along log(1 - S).

    An axis with one level has none, and there are none where the runs are too few to tell, or lie on a line.
    """
    axes = {"N": design.x, "D": design.y, "S": design.u}
    axes = {name: values for name, values in axes.items() if count_levels(values) > 1}
    spare = len(measured) - len(axes) - 1
    if not axes or spare < 1:
        return {}
    columns = np.stack(list(axes.values()), axis=1)
    columns = columns - columns.mean(axis=0)
    spread = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), compute_uv=False)
    if spread[-1] < _LINE * spread[0]:
        return {}
    logs = np.log(measured) - np.log(measured).mean()
    slopes = np.linalg.lstsq(columns, logs, rcond=None)[0]
    left = logs - columns @ slopes
    errors = np.sqrt(np.diag(np.linalg.inv(columns.T @ columns)) * float(left @ left) / spare)
    return {name: Trend(slope=float(slopes[at]), error=float(errors[at])) for at, name in enumerate(axes)}
