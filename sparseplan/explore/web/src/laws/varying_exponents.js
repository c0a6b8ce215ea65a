// The sparse law with exponents that depend on sparsity, u = ln(1 - S):
//
//   L = (a_S (1 - S)^b_S + c_S) N^-b_N (N / N_0)^(-eta u) + (a_D / D)^b_D (D_0 / D)^(b_D zeta u) + c

import { PowerTerms } from "./power_terms.js";

const positive = (exponent) => (exponent > 0 ? exponent : NaN);

export class VaryingExponents extends PowerTerms {
  constructor({ a_S, b_S, c_S, b_N, a_D, b_D, c, eta, zeta, N_0, D_0 }) {
    super();
    Object.assign(this, { a_S, b_S, c_S, b_N, a_D, b_D, eta, zeta, N_0, D_0 });
    this.floor = c;
  }

  numerator(S) {
    const u = Math.log1p(-S);
    return (this.a_S * Math.exp(this.b_S * u) + this.c_S) * this.N_0 ** (this.eta * u);
  }

  sizeExponent(S) {
    return positive(this.b_N + this.eta * Math.log1p(-S));
  }

  dataScale(S) {
    const bend = this.zeta * Math.log1p(-S);
    return Math.exp((Math.log(this.a_D) + bend * Math.log(this.D_0)) / (1 + bend));
  }

  dataExponent(S) {
    return positive(this.b_D * (1 + this.zeta * Math.log1p(-S)));
  }
}
