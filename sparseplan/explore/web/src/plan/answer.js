// The answer to a question: the plan for the law's values, and in a second step how sure it is over the law's draws.

import { drawSides, lawSides } from "../laws/law.js";
import { breakEvenSteps } from "./break_even.js";
import { bracketSteps } from "./brackets.js";
import { planIntervals } from "./intervals.js";
import { bestSparsity, isOnlyDense, planSides } from "./plan.js";

export function answer(question) {
  const sides = lawSides(question.law, question.pattern.family, question.unique);
  const planned = planSides(sides, question);
  const { best, dense } = planned;
  const optimal = sides.dense.optimalTokens(dense.N);
  const { cost, pattern } = question;
  return {
    question,
    sides,
    planned,
    onlyDense: isOnlyDense(question),
    lossGain: dense.loss - best.loss,
    ratio: best.spent / planned.equal,
    anyRatio: best.spent / planned.anyEqual,
    overtraining: (dense.N * dense.D) / optimal,
    optimalFlops: cost.training(optimal, 0, 1),
    uncapped:
      pattern.sparsities === null ? bestSparsity(sides.sparse, question, 1 - 1e-9) : uncappedChoice(sides, question),
  };
}

// What a family would choose without the cap; null for one pattern, whose sparsity is asked for.
function uncappedChoice(sides, question) {
  return question.pattern.single ? null : planSides(sides, { ...question, cap: 1 - 1e-9 }).best.S;
}

// What takes many plans: a generator that yields as it goes and returns { intervals, brackets, breakEven }. Intervals
// are null without draws, the break-even demand without inference.
export function* certaintySteps(found) {
  const { question, planned } = found;
  const draws = drawSides(question.law, question.pattern.family, question.unique);
  const drawn = [];
  for (const sides of draws) {
    drawn.push(planSides(sides, question));
    yield 0;
  }
  const intervals = draws.length ? planIntervals(planned, draws, drawn) : null;
  return { intervals, brackets: yield* bracketSteps(found, drawn), breakEven: yield* breakEvenSteps(found) };
}

// The last value of a generator that is run through.
export function finish(steps) {
  for (;;) {
    const { value, done } = steps.next();
    if (done) return value;
  }
}
