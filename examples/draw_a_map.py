"""Where sparsity pays: the best sparsity over sizes and budgets, as a picture and as arrays.

python examples/draw_a_map.py [FILE.png]
"""

import sys

import sparseplan as sp

path = sys.argv[1] if len(sys.argv) > 1 else "map.png"
(chart,) = sp.sparsity_map(params=("10M", "10B"), flops=("1e19", "1e24"), points=60)
chart.save(path)
print(f"wrote {path}: {chart!r}")

for N, C in zip(chart.nonzero_params[::15], chart.sparsity_begins_flops[::15], strict=True):
    print(f"{N:9.3g} non-zero parameters: sparsity begins to pay at {C:.2g} FLOPs")
