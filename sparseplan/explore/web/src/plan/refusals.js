// What no run can do, said in place of an answer: sparseplan/plan/reach.py, caveats.require_real and arguments.count.

import { formatCount, formatScientific } from "../words/numbers.js";

const FEWEST_PARAMETERS = 100;
const LARGEST = 1e40;

// Why there is no answer; null where there is one.
export function refusal({ question, planned }) {
  const { N, M, flops, inference } = question;
  const given = N ?? M;
  if (given !== null && given < FEWEST_PARAMETERS) {
    return `Expected at least ${FEWEST_PARAMETERS} parameters, found ${given}; did you mean ${given}B?`;
  }
  if (inference !== null && !Number.isFinite(planned.best.spent)) {
    const demand = `the inference of ${formatCount(inference.tokens)} tokens at this size`;
    return `A total of ${formatScientific(flops)} does not pay for ${demand}; raise it, or lower the demand.`;
  }
  for (const plan of [planned.best, planned.dense, planned.anyDense]) {
    if (inference !== null && !Number.isFinite(plan.spent)) continue;
    for (const [name, value, least, most] of [
      ["N", plan.N, 1, LARGEST],
      ["D", plan.D, 1, LARGEST],
      ["loss", plan.loss, 0, Number.MAX_VALUE],
    ]) {
      if (!(least <= value && value <= most)) {
        const found = `${name} = ${formatScientific(value)}`;
        return `These inputs give ${found}, which is not a possible run; check the budget and the size.`;
      }
    }
  }
  return null;
}
