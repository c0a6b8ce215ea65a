// The weighted mean of several laws' losses, which a law averaged over forms is: sparseplan/laws/forms/mean.py.

import { Theta } from "./theta.js";

export class Mean extends Theta {
  constructor(parts) {
    super();
    this.parts = parts; // [weight, theta] each
    this.floor = parts.reduce((sum, [weight, theta]) => sum + weight * theta.floor, 0);
  }

  reducible(S, N, D) {
    return this.parts.reduce((sum, [weight, theta]) => sum + weight * theta.reducible(S, N, D), 0);
  }

  firstSize(S, bought) {
    return this.parts[0][1].firstSize(S, bought);
  }
}
