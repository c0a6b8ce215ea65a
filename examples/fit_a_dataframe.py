"""A law from finished runs in memory, and a plan by it.

A dataframe of pandas, polars or pyarrow goes in just as this dict of columns does. The runs here follow a known law
with noise of 0.5 %, so that the fit can be held against the truth.
"""

import random

import sparseplan as sp

random.seed(0)
truth = sp.load_law("frantar2023-t5-c4-refit")
runs: dict[str, list[float]] = {"sparsity": [], "N": [], "tokens": [], "loss": []}
for N in (1.3e6, 5.2e6, 2.1e7, 8.4e7):
    for S in (0.0, 0.5, 0.75):
        for D in (1.6e10, 3.3e10, 6.6e10):
            loss = sp.predict(params=N, data=D, sparsity=S, law=truth).loss
            for name, value in zip(runs, (S, N, D, loss * random.gauss(1.0, 0.005)), strict=True):
                runs[name].append(value)

fitted = sp.fit(runs, columns={"nonzero_params": "N", "data_seen": "tokens"}, draws=200, name="mine")
print(fitted)  # as `sparseplan fit` prints it

intervals = fitted.answer.intervals
assert intervals is not None, "draws were asked for, and the fit converged"
print("\ncoefficient   truth  fitted  90% interval")
for name, known in (truth.coefficients | truth.sparsity["unstructured"]).items():
    low, high = intervals[name]
    print(f"{name:11} {known:7.3g} {fitted.answer.coefficients[name]:7.3g}  {low:.3g} .. {high:.3g}")

fitted.save("mine.yaml")  # `sparseplan optimal --law mine.yaml` plans with it too
print(sp.optimal(flops=1e20, law=fitted.law))
