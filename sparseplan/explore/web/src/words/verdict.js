// The answer in a sentence or two, true as they stand: word for word what `sparseplan optimal` prints in bold.
// sparseplan/report/plan_verdict.py.

import { extrapolation, widthDistances } from "../plan/caveats.js";
import { spreadOfRates } from "../plan/repeats.js";
import { formatBounds, formatCount, formatRatio, formatScientific, formatSparsity } from "./numbers.js";
import { fixed } from "./rounding.js";

const COSTS = { sparse: "if zeros cost nothing", dense: "if zeros cost as much as weights" };

export function verdict(answer, intervals) {
  const { question, planned, onlyDense } = answer;
  const { law } = question;
  if (law.poor_fit !== null) return `Nothing to plan with: this law's ${law.poor_fit.replace(/\.$/, "")}.`;
  const plan = planned.best;
  const serves = question.inference !== null;
  const budget = `${formatScientific(question.flops)} FLOPs${serves ? " in training and inference" : ""}`;
  const run = `${formatCount(plan.D)} ${law.data_unit}s, loss ${fixed(plan.loss, 3)}`;
  const source = `law ${law.name}${reach(answer)}`;
  const cost =
    (COSTS[question.priced.name] ?? `at its cost on ${question.priced.name}`) + (serves ? " in training" : "");
  if (onlyDense) return `${budget}: dense, as asked: ${formatCount(plan.N)} parameters on ${run} (${source}).`;
  if (plan.S === 0) {
    const draws =
      intervals === null || intervals.sparsity[1] === 0
        ? ""
        : ` (draws: ${formatBounds(intervals.sparsity, formatSparsity)} sparse)`;
    const what = `${budget}: stay dense${draws}, ${formatCount(plan.N)} parameters on ${run}`;
    return `${what}, ${cost} (${source}).${undecided(answer, intervals)}`;
  }
  let sparsity = formatSparsity(plan.S);
  if (intervals !== null && intervals.sparsity[0] !== intervals.sparsity[1]) {
    sparsity += ` (${formatBounds(intervals.sparsity, formatSparsity)})`;
  }
  const model = `${formatCount(plan.N)} non-zero of ${formatCount(plan.M)} weights`;
  const needs = `${denseNeeds(answer)}, ${cost} (${source}).${undecided(answer, intervals)}`;
  return `${budget}: sparsity ${sparsity}, ${model} on ${run}. ${needs}`;
}

function reach(answer) {
  const outside = extrapolation(answer).map(([thing]) => thing);
  if (outside.includes("plan") || widthDistances(answer).length > 0) return ", extrapolated";
  return outside.length ? ", the dense figures extrapolated" : "";
}

function undecided(answer, intervals) {
  const { question, planned, lossGain } = answer;
  const error = question.law.held_out;
  let found = "";
  if (error !== null && intervals === null && Math.abs(lossGain) <= error.worst) {
    const within = `the law's error (${fixed(error.mean, 3)} nats on average, ${fixed(error.worst, 3)} at worst)`;
    found +=
      planned.best.S > 0
        ? ` The gap of ${fixed(Math.abs(lossGain), 3)} nats to dense is within ${within}.`
        : ` What sparse models would lose by may be within ${within}.`;
  }
  const sparse = planned.best.S > 0;
  if (question.unique !== null && spreadOfRates(answer).some(({ plan }) => plan.S > 0 !== sparse)) {
    found += " The published rates of repetition disagree on whether sparsity pays.";
  }
  return found;
}

export const needed = (ratio) => (ratio > 0 ? formatRatio(1 / ratio) : "over 1e300x");

function denseNeeds({ question, planned, ratio, anyRatio }) {
  if (question.unique !== null && anyRatio === 0) {
    return "No compute is enough for a dense model with these unique data to reach this loss";
  }
  const needs = `A dense model needs ${needed(anyRatio)} the compute for this loss`;
  if (question.N === null && question.M === null) return needs;
  if (!Number.isFinite(planned.equal)) {
    return `${needs} if its size is free, and no compute is enough at this size`;
  }
  return `${needs} if its size is free, ${needed(ratio)} at this size`;
}
