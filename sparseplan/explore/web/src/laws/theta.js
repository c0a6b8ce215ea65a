// What a law answers for, whatever its form: sparseplan/laws/forms/base.py, for single values. A subclass has `floor`
// and `reducible(S, N, D)`; what it doesn't know in closed form is searched here.

import { risingRoot, withSlope } from "../numeric/roots.js";
import { smoothMinimum } from "../numeric/minima.js";

const ANY_SIZE = [0, Math.log(1e30)];
const ANY_TOKENS = [0, Math.log(1e60)];
const STEP = 1e-3;
const SEARCHED_DENSITY = 1e-6;
const DENSITY_STEP = 0.25;
const FEWEST_POINTS = 9;
const SIZE_POINTS = 33;
const SIZE_REACH = Math.log(40);

export class Theta {
  loss(S, N, D) {
    return this.reducible(S, N, D) + this.floor;
  }

  // ln of how much a percent more size takes off the loss against a percent more data; it falls with N.
  balance(S, N, D) {
    const up = Math.exp(STEP);
    const bySize = this.reducible(S, N / up, D) - this.reducible(S, N * up, D);
    const byData = this.reducible(S, N, D / up) - this.reducible(S, N, D * up);
    return Math.log(bySize) - Math.log(byData);
  }

  // The N of the lowest loss at a sparsity under a budget: where the balance is that of the budget, ln(1 + idle / D).
  bestSize(S, budget) {
    if (budget.dependsOnSize) return this.searchedSize(S, budget);
    const bought = budget.tokens / budget.multiplier(S, 1);
    const idle = budget.idle(S, 1);
    const start = Math.min(Math.log(this.firstSize(S, bought)), Math.log((0.5 * bought) / idle));
    const condition = (x) => {
      const N = Math.exp(x);
      const D = bought / N - idle;
      return D > 0 ? Math.log1p(idle / D) - this.balance(S, N, D) : Infinity;
    };
    return Math.exp(risingRoot(withSlope(condition), start, ...ANY_SIZE));
  }

  firstSize() {
    return 1e9;
  }

  // Where the cost depends on the width: the best point of a row of sizes around the plain optimum, and between them.
  searchedSize(S, budget) {
    const plain = { ...budget, dependsOnSize: false, multiplier: (s) => 1 / (1 - s), idle: () => 0 };
    const middle = Math.log(this.bestSize(S, plain));
    const lost = (x) => {
      const N = Math.exp(x);
      const D = budget.data(S, N);
      return D > 0 ? this.reducible(S, N, D) : Infinity;
    };
    return Math.exp(smoothMinimum(lost, middle - SIZE_REACH, middle + SIZE_REACH, SIZE_POINTS));
  }

  // The data at which a run reaches a reducible loss; infinite where no data is enough.
  dataFor(S, N, reducible) {
    if (!(this.reducible(S, N, Infinity) < reducible)) return Infinity;
    const excess = (y) => Math.log(reducible) - Math.log(this.reducible(S, N, Math.exp(y)));
    return Math.exp(risingRoot(withSlope(excess), Math.log(1e10), ...ANY_SIZE));
  }

  // The N of the smallest N (D + idle) that reaches a reducible loss.
  cheapestSize(S, reducible, idle = 0) {
    const condition = (x) => {
      const N = Math.exp(x);
      const D = this.dataFor(S, N, reducible);
      return Number.isFinite(D) ? Math.log1p(idle / D) - this.balance(S, N, D) : -Infinity;
    };
    return Math.exp(risingRoot(withSlope(condition), Math.log(1e9), ...ANY_SIZE));
  }

  // N D at which N is the compute-optimal size of a dense model.
  optimalTokens(N) {
    const condition = (y) => this.balance(0, N, Math.exp(y));
    return N * Math.exp(risingRoot(withSlope(condition), Math.log(20 * N), ...ANY_TOKENS));
  }

  // The N whose compute-optimal data is D.
  sizeForData(S, D) {
    return Math.exp(
      risingRoot(
        withSlope((x) => -this.balance(S, Math.exp(x), D)),
        Math.log(1e9),
        ...ANY_SIZE,
      ),
    );
  }

  // The closed solution for the best S in a setting, before any cap; null where the form or the cost has none.
  closedSparsity() {
    return null;
  }

  // The S of the lowest value of `wanted(S)` in [0, highest]; steps of equal ratio in the density.
  searchedSparsity(wanted, highest) {
    if (highest === 0) return 0;
    const low = Math.log(Math.max(1 - highest, SEARCHED_DENSITY));
    const points = Math.max(FEWEST_POINTS, Math.ceil(-low / DENSITY_STEP) + 1);
    const x = smoothMinimum((y) => wanted(-Math.expm1(y)), low, 0, points);
    const S = Math.min(0 - Math.expm1(x), highest);
    return wanted(S) < wanted(0) ? S : 0;
  }
}
