// The loss over sparsity under a question's givens, less that of the dense plan: below 0 sparsity helps. The band is
// paired: under each draw the difference to that draw's own dense plan.

import { drawSides } from "../laws/law.js";
import { bounds } from "./intervals.js";
import { allowed, planAt } from "./plan.js";

const POINTS = 49;
const MOST_DRAWS = 200;

// The sparsities of the curve: even steps of the density's logarithm, or what a pattern makes.
export function curveSparsities(question) {
  const choices = allowed(question);
  if (choices !== null) return [0, ...choices];
  const end = Math.log1p(-question.cap);
  return Array.from({ length: POINTS }, (_, i) => 0 - Math.expm1((end * i) / (POINTS - 1)));
}

export function curveOf({ question, sides, planned }) {
  return curveSparsities(question).map((S) => {
    const plan = S === 0 ? planned.dense : planAt(sides.sparse, question, S);
    return { S, loss: plan.loss, gap: plan.loss - planned.dense.loss };
  });
}

// The band over some of the draws: a generator that yields after every draw and returns [{ S, low, high }]; null
// without draws.
export function* bandSteps({ question }) {
  const draws = drawSides(question.law, question.pattern.family, question.unique);
  if (draws.length === 0) return null;
  const step = Math.max(1, Math.ceil(draws.length / MOST_DRAWS));
  const chosen = draws.filter((_, i) => i % step === 0);
  const points = curveSparsities(question);
  const gaps = points.map(() => []);
  for (const sides of chosen) {
    const dense = planAt(sides.dense, question, 0).loss;
    points.forEach((S, i) => {
      const gap = S === 0 ? 0 : planAt(sides.sparse, question, S).loss - dense;
      if (Number.isFinite(gap)) gaps[i].push(gap);
    });
    yield 0;
  }
  const found = points.map((S, i) => ({ S, gaps: gaps[i] })).filter((one) => one.gaps.length > 1);
  return found.map(({ S, gaps: values }) => {
    const [low, high] = bounds(values);
    return { S, low, high };
  });
}
