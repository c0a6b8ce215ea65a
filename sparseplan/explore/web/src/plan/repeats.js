// What repeats count as in a plan, and the plan under the published rates of repetition that did not answer.
// sparseplan/plan/repeats.py and other_rates.py.

import { rateAt } from "../laws/repeated.js";
import { lawSides } from "../laws/law.js";
import { planSides } from "./plan.js";

const ROUNDING = 1.02;
const known = new WeakMap();

export const epochsOf = (D, unique) => Math.max(D / unique, 1);

// How the plan's repeats count.
export function repetition({ question, sides, planned }) {
  const { S, N, D } = planned.best;
  const theta = S > 0 ? sides.sparse : sides.dense;
  return {
    R_N: rateAt(question.law.repetition.R_N, S),
    R_D: rateAt(question.law.repetition.R_D, S),
    effectiveData: theta.effectiveData(S, D),
    effectiveParams: theta.effectiveSize(S, N),
  };
}

// The best plan under each other published set of rates; empty where no plan repeats data.
export function spreadOfRates(answer) {
  if (!known.has(answer)) known.set(answer, spread(answer));
  return known.get(answer);
}

function spread({ question, planned }) {
  const { law, unique, pattern, published } = question;
  if (Math.max(planned.best.D, planned.dense.D) / unique <= ROUNDING) return [];
  return published
    .filter((rates) => rates.lender !== law.repetition.lender)
    .map((rates) => {
      const sides = lawSides({ ...law, repetition: rates }, pattern.family, unique);
      const { best, dense } = planSides(sides, question);
      return { lender: rates.lender, R_D: rateAt(rates.R_D, best.S), plan: best, gain: dense.loss - best.loss };
    });
}
