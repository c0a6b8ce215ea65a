"""Time `sparseplan next` over 1,000 candidates: the T5 refit with its 1,000 draws.

OMP_NUM_THREADS=1 python benchmarks/next_speed.py
"""

import statistics
import time

import sparseplan as sp

CANDIDATES, REPEATS = 1000, 5


def main() -> None:
    """Measure and print."""
    law = sp.load_law("frantar2023-t5-c4-refit")
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        answer = sp.next_runs(1e23, law=law, budget=1e24, sizes=("1.3M", "8B"), data=("16B", "16T"))
        seconds.append(time.perf_counter() - began)
    assert answer.candidates >= CANDIDATES, answer.candidates
    print(f"{answer.candidates} candidates, {len(answer.runs)} chosen: {statistics.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
