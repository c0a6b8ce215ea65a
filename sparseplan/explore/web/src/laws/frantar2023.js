// The sparse law of Frantar et al. 2023 (arXiv:2309.08520, eq. 1), and with k the coupled one; the best sparsity in
// closed form, as sparseplan/laws/forms/frantar2023_optimum.py derives it.
//
//   L = [ (a_S (1 - S)^b_S + c_S) N^-b_N + (a_D / D)^b_D ]^k + c

import { risingRoot } from "../numeric/roots.js";
import { PowerTerms } from "./power_terms.js";

const LOWEST_X = Math.log(1e-9);

export class Frantar2023 extends PowerTerms {
  constructor({ a_S, b_S, c_S, b_N, a_D, b_D, c, k = 1 }) {
    super();
    Object.assign(this, { a_S, b_S, c_S, b_N, a_D, b_D, k });
    this.floor = c;
  }

  numerator(S) {
    return this.a_S * (1 - S) ** this.b_S + this.c_S;
  }

  sizeExponent() {
    return this.b_N;
  }

  dataScale() {
    return this.a_D;
  }

  dataExponent() {
    return this.b_D;
  }

  closedSparsity(budget, { N = null, M = null }) {
    if (budget.saving === null || !budget.closed) return null;
    const x =
      N !== null ? this.atSize(budget, N) : M !== null ? this.atDenseSize(budget, M) : this.atFreeSize(budget.saving);
    return 0 - Math.expm1(x);
  }

  atSize({ saving, tokens }, N) {
    const { a_S, b_S, b_N, a_D, b_D } = this;
    const data = Math.log(b_D) + b_D * Math.log((a_D * N) / tokens) + Math.log1p(-saving);
    const offset = a_S > 0 ? Math.log(a_S * b_S) - b_N * Math.log(N) - data : -Infinity;
    const slope = b_S + b_D;
    const condition = (x) => {
      const growth = Math.expm1(x);
      const damping = 1 + saving * growth;
      return [
        offset + slope * x + (1 - b_D) * Math.log(damping),
        slope + ((1 - b_D) * saving * (1 + growth)) / damping,
      ];
    };
    return risingRoot(condition, -offset / slope, LOWEST_X, 0);
  }

  atDenseSize({ saving, tokens }, M) {
    const { a_S, b_S, c_S, b_N, a_D, b_D } = this;
    const data = ((a_D * M) / tokens) ** b_D * M ** b_N * b_D * saving;
    const remains = c_S * b_N;
    const gain = a_S * Math.max(b_S - b_N, 0);
    const harm = a_S * Math.max(b_N - b_S, 0);
    const condition = (x) => {
      const damping = 1 + saving * Math.expm1(x);
      const kept = Math.exp(b_S * x);
      const saved = data * Math.exp((1 + b_N) * x) * damping ** (b_D - 1);
      const rising = gain * kept + saved;
      const falling = harm * kept + remains;
      if (rising === 0 && falling === 0) return [-Infinity, NaN];
      const bySaved = saved * (1 + b_N + ((b_D - 1) * saving * Math.exp(x)) / damping);
      return [
        Math.log(rising) - Math.log(falling),
        (gain * b_S * kept + bySaved) / rising - (harm * b_S * kept) / falling,
      ];
    };
    return risingRoot(condition, 0, LOWEST_X, 0);
  }

  atFreeSize(saving) {
    const { a_S, b_S, c_S, b_N } = this;
    const rest = a_S > 0 ? c_S / a_S : Infinity;
    const condition = (x) => {
      const damping = 1 + saving * Math.expm1(x);
      const ratio = rest > 0 ? rest * Math.exp(-b_S * x) : 0;
      const share = 1 / (1 + ratio);
      const price = (1 - saving) / damping;
      return [
        (share * b_S) / b_N - price,
        (share * (1 - share) * b_S ** 2) / b_N + (price * saving * Math.exp(x)) / damping,
      ];
    };
    return risingRoot(condition, -0.7, LOWEST_X, 0);
  }
}
