// Forms that are a sum of a size term, a data term and a floor, each a power law at a given S, and an exponent over the
// sum: sparseplan/laws/forms/power_terms.py and coupled_terms.py.
//
//   reducible = [ F(S) N^-p(S) + (A(S) / D)^q(S) ]^k
//
// A subclass says what F, p, A and q are: `numerator`, `sizeExponent`, `dataScale`, `dataExponent`.

import { Theta } from "./theta.js";

export class PowerTerms extends Theta {
  k = 1;

  sizeTerm(S, N) {
    return this.numerator(S) * N ** -this.sizeExponent(S);
  }

  dataTerm(S, D) {
    return (this.dataScale(S) / D) ** this.dataExponent(S);
  }

  reducible(S, N, D) {
    const sum = this.sizeTerm(S, N) + this.dataTerm(S, D);
    return this.k === 1 ? sum : sum ** this.k;
  }

  summed(reducible) {
    if (!(reducible > 0)) return NaN;
    return this.k === 1 ? reducible : reducible ** (1 / this.k);
  }

  dataFor(S, N, reducible) {
    const left = this.summed(reducible) - this.sizeTerm(S, N);
    return left > 0 ? this.dataScale(S) * left ** (-1 / this.dataExponent(S)) : Infinity;
  }

  cheapestSize(S, reducible, idle = 0) {
    if (idle !== 0) return super.cheapestSize(S, reducible, idle);
    const p = this.sizeExponent(S);
    const q = this.dataExponent(S);
    return (this.numerator(S) / ((q / (p + q)) * this.summed(reducible))) ** (1 / p);
  }

  optimalTokens(N) {
    const p = this.sizeExponent(0);
    const q = this.dataExponent(0);
    return this.dataScale(0) * ((p * this.numerator(0)) / (q * N ** (p + q))) ** (-1 / q);
  }

  balance(S, N, D) {
    const p = this.sizeExponent(S);
    const q = this.dataExponent(S);
    return Math.log((p * this.numerator(S)) / q) - p * Math.log(N) - q * Math.log(this.dataScale(S) / D);
  }

  sizeForData(S, D) {
    const p = this.sizeExponent(S);
    const q = this.dataExponent(S);
    return ((p * this.numerator(S)) / (q * (this.dataScale(S) / D) ** q)) ** (1 / p);
  }

  bestSize(S, budget) {
    return budget.closed ? this.sizeWhere(S, budget.data(S, 1)) : super.bestSize(S, budget);
  }

  firstSize(S, bought) {
    return this.sizeWhere(S, bought);
  }

  // The N of the lowest loss where D = k / N.
  sizeWhere(S, k) {
    const p = this.sizeExponent(S);
    const q = this.dataExponent(S);
    return ((p * this.numerator(S)) / (q * (this.dataScale(S) / k) ** q)) ** (1 / (p + q));
  }
}
