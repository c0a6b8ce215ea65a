// A law for runs that repeat data, effective size and data in place of N and D: sparseplan/laws/forms/repeated.py.
//
//   D' = U + U R_D (1 - exp(-(D/U - 1) / R_D)) beyond U, and N' likewise beyond the size whose best data is U

import { risingRoot, withSlope } from "../numeric/roots.js";
import { Theta } from "./theta.js";

const ANY_TOKENS = [0, Math.log(1e60)];

// R(S) = R (1 + linear S + quadratic S^2)
export const rateAt = ([dense, linear, quadratic], S) => dense * (1 + S * (linear + S * quadratic));

export function saturated(value, unique, R) {
  return value <= unique ? value : unique * (1 - R * Math.expm1(-(value / unique - 1) / R));
}

function unsaturated(effective, unique, R) {
  if (effective <= unique) return effective;
  const share = (effective / unique - 1) / R;
  return share < 1 ? unique * (1 - R * Math.log1p(-share)) : Infinity;
}

// ln (d ln effective / d ln value): 0 up to `unique`, falling beyond it.
function logElasticity(value, effective, unique, R) {
  return value <= unique ? 0 : Math.log(value / effective) - (value / unique - 1) / R;
}

export class Repeated extends Theta {
  constructor(theta, { R_N, R_D }, unique) {
    super();
    Object.assign(this, { theta, R_N, R_D, unique, floor: theta.floor });
    this.lastSize = [NaN, NaN];
  }

  // U_N at a sparsity; asked again and again at the same one.
  uniqueSize(S) {
    if (this.lastSize[0] !== S) this.lastSize = [S, this.theta.sizeForData(S, this.unique)];
    return this.lastSize[1];
  }

  effectiveSize(S, N) {
    return saturated(N, this.uniqueSize(S), rateAt(this.R_N, S));
  }

  effectiveData(S, D) {
    return saturated(D, this.unique, rateAt(this.R_D, S));
  }

  reducible(S, N, D) {
    return this.theta.reducible(S, this.effectiveSize(S, N), this.effectiveData(S, D));
  }

  dataFor(S, N, reducible) {
    const needed = this.theta.dataFor(S, this.effectiveSize(S, N), reducible);
    return unsaturated(needed, this.unique, rateAt(this.R_D, S));
  }

  balance(S, N, D) {
    const size = this.effectiveSize(S, N);
    const data = this.effectiveData(S, D);
    const leftOfSize = logElasticity(N, size, this.uniqueSize(S), rateAt(this.R_N, S));
    const leftOfData = logElasticity(D, data, this.unique, rateAt(this.R_D, S));
    return this.theta.balance(S, size, data) + leftOfSize - leftOfData;
  }

  firstSize(S, bought) {
    return this.theta.firstSize(S, bought);
  }

  optimalTokens(N) {
    const condition = (y) => this.balance(0, N, Math.exp(y));
    return N * Math.exp(risingRoot(withSlope(condition), Math.log(this.theta.optimalTokens(N) / N), ...ANY_TOKENS));
  }
}
