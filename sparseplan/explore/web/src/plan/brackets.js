// The two costs between which every device lies, zeros that cost nothing and zeros that cost as much as weights, and
// the question's plan at each: sparseplan/plan/brackets.py.

import { drawSides } from "../laws/law.js";
import { makeCost } from "./cost.js";
import { bounds } from "./intervals.js";
import { planSides } from "./plan.js";

const COSTS = ["sparse", "dense"].map((name) => ({
  name,
  zeros_free: name === "sparse",
  training: {},
  inference: {},
}));

// A generator that yields as it plans draws, and returns [{ cost, S, ratio, sparsities, ratios }]: the best sparsity,
// the budget over what the best dense model needs for the loss, and the intervals of both; null without draws. `drawn`
// are the question's own plans, by draw.
export function* bracketSteps({ question, sides, planned, onlyDense }, drawn) {
  if (onlyDense) return [];
  const draws = drawSides(question.law, question.pattern.family, question.unique);
  const found = [];
  for (const cost of COSTS) {
    const own = cost.name === question.priced.name && (question.inference?.cost.name ?? cost.name) === cost.name;
    const asked = own ? question : atCost(question, cost);
    const here = own ? planned : planSides(sides, asked);
    if (!Number.isFinite(here.best.spent)) continue; // nothing is paid for at this price
    const there = own ? drawn : [];
    for (const one of own ? [] : draws) {
      there.push(planSides(one, asked));
      yield 0;
    }
    found.push({ cost: cost.name, S: here.best.S, ratio: here.best.spent / here.anyEqual, ...spread(there) });
  }
  return found;
}

function atCost(question, cost) {
  const inference = question.inference && { ...question.inference, cost };
  return { ...question, cost: makeCost(question.law, question.pattern, cost, inference), priced: cost, inference };
}

function spread(there) {
  const real = there
    .map(({ best, anyEqual }) => [best.S, best.spent / anyEqual])
    .filter(([, ratio]) => Number.isFinite(ratio));
  if (real.length < 2) return { sparsities: null, ratios: null };
  return { sparsities: bounds(real.map(([S]) => S)), ratios: bounds(real.map(([, ratio]) => ratio)) };
}
