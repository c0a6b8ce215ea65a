// The law of decoders that are sparse from the start, Wu et al. 2026 (arXiv:2606.01155):
//
//   L = E + A ((1 - S)^eps + P S^mu) / N^alpha + B / D^beta

import { PowerTerms } from "./power_terms.js";

export class Wu2026 extends PowerTerms {
  constructor({ eps, mu, P, E, A, B, alpha, beta }) {
    super();
    Object.assign(this, { eps, mu, P, A, alpha, beta });
    this.floor = E;
    this.scale = B ** (1 / beta);
  }

  numerator(S) {
    const g = (1 - S) ** this.eps + this.P * S ** this.mu;
    return g > 0 ? this.A * g : NaN;
  }

  sizeExponent() {
    return this.alpha;
  }

  dataScale() {
    return this.scale;
  }

  dataExponent() {
    return this.beta;
  }
}
