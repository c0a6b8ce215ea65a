"""How the zeros of a model are spread over its matrices.

Erdos-Renyi: the density of a matrix is in proportion to (inputs + outputs) / (inputs x outputs), so that large matrices
are sparser; where that would be above 1 a matrix stays dense and the others share the rest. For matrices it is what is
called Erdos-Renyi-kernel for convolutions.

Source: Mocanu et al. 2018, arXiv:1707.04780; the matrices that stay dense: Evci et al. 2020, arXiv:1911.11134.
"""

from sparseplan.shapes.base import pruned_weights

Shapes = dict[str, tuple[int, int]]
"""Outputs and inputs of matrices, by name."""


def spread_zeros(shapes: Shapes, sparsity: float, distribution: str) -> dict[str, int]:
    """Zeros of every matrix; they add up to the same number whatever the distribution is.

    >>> spread_zeros({"a": (4, 4), "b": (4, 12)}, 0.5, "uniform")
    {'a': 8, 'b': 24}
    >>> spread_zeros({"a": (4, 4), "b": (4, 12)}, 0.5, "erdos-renyi")  # 32 are left, in proportion to 4 + 4 and 4 + 12
    {'a': 5, 'b': 27}
    """
    numels = {name: outputs * inputs for name, (outputs, inputs) in shapes.items()}
    uniform = {name: pruned_weights(numel, sparsity) for name, numel in numels.items()}
    if distribution == "uniform":
        return uniform
    left = sum(numels.values()) - sum(uniform.values())
    dense: set[str] = set()
    while True:
        free = {name: sum(shapes[name]) for name in shapes if name not in dense}
        share = (left - sum(numels[name] for name in dense)) / sum(free.values()) if free else 0.0
        full = {name for name, weight in free.items() if share * weight > numels[name]}
        if not full:
            break
        dense |= full
    exact = {name: float(numels[name]) if name in dense else share * free[name] for name in shapes}
    kept = {name: int(number) for name, number in exact.items()}
    # the weights that rounding down has lost go to the largest remainders
    by_remainder = sorted(shapes, key=lambda name: kept[name] - exact[name])
    for name in by_remainder[: left - sum(kept.values())]:
        kept[name] += 1
    return {name: numels[name] - kept[name] for name in shapes}
