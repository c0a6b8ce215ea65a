"""A plan for a training budget, with its intervals, and what it is worth where zeros are not free."""

import sparseplan as sp

answer = sp.optimal(flops=5e19, params="85M")
print(answer)  # as `sparseplan optimal` prints it

plan, intervals = answer.plan, answer.intervals
assert intervals is not None, "the default law carries draws"
low, high = intervals.sparsity
print(f"\nsparsity {plan.sparsity:.1%} ({low:.1%} .. {high:.1%}), {plan.data_seen:.3g} {plan.data_unit}s")

for cost in ("sparse", "dense"):
    best = sp.optimal(flops=5e19, params="85M", cost=cost).plan
    print(f"{cost:>6} cost: {best.sparsity:.1%} sparse, loss {best.loss:.4f}")
