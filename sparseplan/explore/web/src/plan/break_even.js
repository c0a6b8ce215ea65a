// The demand for inference at which sparsity begins to pay, or ceases to: sparseplan/plan/break_even.py.

import { makeCost } from "./cost.js";
import { geometric } from "./map_grid.js";
import { planSides } from "./plan.js";

const POINTS = 25;
const ROUNDS = 4;
const SPAN = [1e-4, 1e5];

// A generator that yields as it plans and returns { pays, tokens }: always, never, or from ("above") or up to ("below")
// those tokens; null where inference does not count.
export function* breakEvenSteps({ question, sides, planned }) {
  if (question.inference === null) return null;
  const demands = [0, ...geometric(SPAN, 2 * POINTS).map((share) => share * planned.anyDense.D)];
  const answers = [];
  for (const tokens of demands) {
    answers.push(payingAt(sides, question, tokens));
    yield 0;
  }
  const pays = answers.filter((one) => one !== null); // a budget does not pay for every demand
  const turn = pays.findIndex((one, i) => i > 0 && one !== pays[i - 1]) - 1;
  if (turn < 0) return { pays: pays[0] ? "always" : "never", tokens: null };
  let [low, high] = [Math.max(demands[turn], 1e-3 * demands[1]), demands[turn + 1]];
  for (let round = 0; round < ROUNDS; round++) {
    const finer = geometric([low, high], POINTS);
    let last = 0;
    for (let i = 0; i < POINTS; i++) {
      if ((payingAt(sides, question, finer[i]) ?? false) === pays[turn]) last = i;
      yield 0;
    }
    [low, high] = [finer[last], finer[Math.min(last + 1, POINTS - 1)]];
  }
  return { pays: pays[0] ? "below" : "above", tokens: high };
}

// Whether sparsity pays at a demand; null where the budget pays for no plan that meets it.
function payingAt(sides, question, tokens) {
  const inference = { ...question.inference, tokens };
  const cost = makeCost(question.law, question.pattern, question.priced, inference);
  const { best, dense } = planSides(sides, { ...question, inference, cost });
  const [lost, rival] = [best, dense].map((plan) => (Number.isNaN(plan.reducible) ? Infinity : plan.reducible));
  return Number.isFinite(Math.min(lost, rival)) ? best.S > 0 && lost < rival : null;
}
