"""Time what planning is judged on: start-up of `optimal`, a million plans, a thousand draws.

    python benchmarks/planning.py

Start-up is a ratio of whole processes, run in pairs: `sparseplan optimal --flops 1e23` over the imports that it can't
do without. Throughput is the median of five runs on one core.
"""

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as for everybody

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from sparseplan.laws.file import load_law
from sparseplan.laws.forms import frantar2023_optimum as optimum
from sparseplan.laws.forms.frantar2023 import Coefficients
from sparseplan.laws.law import coefficients

PAIRS = 21
REPEATS = 5
T5 = coefficients(load_law("frantar2023-t5-c4"), "unstructured")
assert isinstance(T5, Coefficients)
FLOOR = [sys.executable, "-c", "import typer, rich.table, numpy, yaml"]
OPTIMAL = [sys.executable, "-m", "sparseplan", "optimal", "--flops", "1e23"]


def wall(command: list[str]) -> float:
    """Wall seconds of one process."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def median(work: Callable[[], object]) -> float:
    """Median wall seconds of a function."""
    seconds: list[float] = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Measure and print the table."""
    for command in (FLOOR, OPTIMAL):
        wall(command)  # fill the caches
    pairs = [(wall(OPTIMAL), wall(FLOOR)) for _ in range(PAIRS)]
    ratios = sorted(ours / floor for ours, floor in pairs)

    random = np.random.default_rng(0)
    N, C = 10 ** random.uniform(6, 12, 1_000_000), 10 ** random.uniform(15, 26, 1_000_000)
    draws = Coefficients(*(value * np.exp(0.05 * random.standard_normal((1000, 1))) for value in T5))

    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}")
    print()
    print("| what | figure | bound |")
    print("| --- | --- | --- |")
    startup = f"{statistics.median(ratios):.2f}x ({ratios[0]:.2f} .. {ratios[-1]:.2f})"
    print(f"| start-up of `optimal` over its imports, median of {PAIRS} pairs | {startup} | 2.0x |")
    print(f"| start-up of `optimal`, median | {statistics.median(ours for ours, _ in pairs):.3f} s | |")
    for cost, saving in (("sparse", 0.625), ("dense", 0.0)):
        seconds = median(lambda saving=saving: optimum.sparsity_at_size(T5, saving, N, C / 6))
        print(f"| S_opt at fixed N for 1e6 (N, C), {cost} cost | {seconds:.2f} s | 1 s |")
    seconds = median(lambda: optimum.sparsity_at_dense_size(T5, 0.625, N, C / 6))
    print(f"| S_opt at fixed dense size for 1e6 (M, C), sparse cost | {seconds:.2f} s | |")
    seconds = median(lambda: optimum.sparsity_at_size(draws, 0.625, N[:1000], C[:1000] / 6))
    print(f"| S_opt for 1,000 draws x 1,000 points, sparse cost | {seconds:.2f} s | 1 s |")


if __name__ == "__main__":
    main()
