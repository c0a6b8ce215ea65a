// The best sparsity over non-zero parameters and budgets: what the page plans at every point, with N fixed.

import { lawSides } from "../laws/law.js";
import { bestPlan, planAt } from "./plan.js";

const ROUNDING = 1.02;
const COLUMNS = 72;
const ROWS = 60;

export function geometric([low, high], count) {
  const step = Math.log(high / low) / (count - 1);
  return Array.from({ length: count }, (_, i) => (i === count - 1 ? high : low * Math.exp(i * step)));
}

// Ends that hold a value, widened by powers of ten where it lies outside.
export function widened([low, high], value) {
  const factor = 10;
  while (low > value) low /= factor;
  while (high < value) high *= factor;
  return [low, high];
}

// The grid, a row at a time: a generator that yields after every row. Of { sizes, budgets, sparsity, extrapolated } the
// last two have a value for each size of each budget, smallest first.
export function* mapSteps(question, sizeEnds, flopsEnds) {
  const { law, pattern, unique } = question;
  const sides = lawSides(law, pattern.family, unique);
  const sizes = geometric(sizeEnds, COLUMNS);
  const budgets = geometric(flopsEnds, ROWS);
  const sparsity = new Float64Array(COLUMNS * ROWS);
  const extrapolated = new Uint8Array(COLUMNS * ROWS);
  for (let i = 0; i < ROWS; i++) {
    for (let j = 0; j < COLUMNS; j++) {
      const asked = { ...question, flops: budgets[i], N: sizes[j], M: null };
      const plan = bestOrDense(sides, asked);
      sparsity[i * COLUMNS + j] = Number.isFinite(plan.spent) ? plan.S : NaN;
      extrapolated[i * COLUMNS + j] = isExtrapolated(law, plan) ? 1 : 0;
    }
    yield (i + 1) / ROWS;
  }
  return { sizes, budgets, sparsity, extrapolated, columns: COLUMNS, rows: ROWS };
}

// The best plan; a single pattern, whose sparsity is asked for, has to beat dense models too.
export function bestOrDense(sides, question) {
  const best = bestPlan(sides, question);
  if (!question.pattern.single) return best;
  const dense = planAt(sides.dense, question, 0);
  return dense.reducible <= best.reducible ? dense : best;
}

function isExtrapolated({ range }, { S, N, D }) {
  const out = (value, bounds) => bounds !== null && (value > bounds[1] * ROUNDING || value < bounds[0] / ROUNDING);
  const sparser = range.sparsity !== null && (S > range.sparsity[1] || S < range.sparsity[0]);
  return out(N, range.nonzero_params) || out(D, range.data_seen) || sparser;
}
