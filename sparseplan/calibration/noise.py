"""How far the losses of a calibration stray from a law: by seed, by length, and run by run.

Runs of one dense size and seed share initialisation and order of the data, so they stray together; those of one length
among them saw the same data to the same end, and stray together once more. Only what is left differs from run to run.
Part of it is luck that another seed would change, part is that no law of this form meets every run. For what fits
would find, both count alike.
"""

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from sparseplan.runs.spec import RunSpec


class Noise(Struct, frozen=True, kw_only=True):
    """Standard deviations of log(loss / law), of three independent parts.

    Attributes:
        origin: Common to all runs of one dense size and seed.
        length: Common to those of one length among them.
        run: Of every run by itself.
    """

    origin: float = 0.010
    length: float = 0.015
    run: float = 0.005

    @property
    def total(self) -> float:
        """Of a run, all parts together."""
        return float(np.sqrt(self.origin**2 + self.length**2 + self.run**2))

    def draw(self, runs: Sequence[RunSpec], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """What `count` repetitions of a sweep would add to the logarithm of each loss, shape (count, runs)."""
        origin = _numbered([run.origin_id for run in runs])
        length = _numbered([f"{run.origin_id} {run.steps}" for run in runs])
        own = np.arange(len(runs))
        parts = ((self.origin, origin), (self.length, length), (self.run, own))
        drawn = np.zeros((count, len(runs)))
        for deviation, unit in parts:
            drawn += deviation * rng.standard_normal((count, int(unit.max()) + 1))[:, unit]
        return drawn


ASSUMED = Noise()
"""Rounded from the residuals of the committed calibrations, calibration/gpt-stdlib-cpu and bert-stdlib-cpu."""


def origins(runs: Sequence[RunSpec]) -> int:
    """How many dense sizes and seeds there are: the runs that share nothing."""
    return len({run.origin_id for run in runs})


def _numbered(names: list[str]) -> NDArray[np.intp]:
    return np.unique(names, return_inverse=True)[1]
