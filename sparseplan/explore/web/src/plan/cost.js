// What a plan costs and what a budget buys: sparseplan/cost. A cost is { training, inference, tokensPerUnit, ... } with
//
//   C = 6 N D c_mul(S, N) tokensPerUnit + 2 (N / (1 - S)) T / v(S, N)

import { length, meanDensity, savingOf, settled } from "./schedule.js";

const TRAINED = 6;
const SERVED = 2;

// A curve by dense parameters: linear in their logarithm between its points, constant beyond; one number for all sizes.
function curveAt({ log_dense_params: at, values }, denseParams) {
  if (at === null) return values[0];
  const x = Math.log(denseParams);
  let i = at.findIndex((point) => point >= x);
  if (i === 0) return values[0];
  if (i < 0) return values[values.length - 1];
  const share = (x - at[i - 1]) / (at[i] - at[i - 1]);
  return values[i - 1] + share * (values[i] - values[i - 1]);
}

// The cost of training runs of a law with a pattern, and of serving T tokens where `inference` is { tokens, cost }.
export function makeCost(law, pattern, cost, inference = null) {
  const { schedule, tokens_per_unit: tokensPerUnit } = law;
  const fast = cost.training !== null && pattern.accelerated?.length > 0;
  const free = cost.zeros_free;
  const saving = free ? savingOf(schedule) : schedule.kind === "rewinding" ? null : 0;
  const perDense = (S, N) => {
    if (free) return meanDensity(schedule, S);
    const whole = length(schedule, S);
    if (!fast || !pattern.accelerated.includes(S)) return whole;
    return whole + settled(schedule, S) * (1 / curveAt(cost.training, N / (1 - S)) - 1);
  };
  const multiplier =
    saving !== null && !fast ? (S) => saving + (1 - saving) / (1 - S) : (S, N) => perDense(S, N) / (1 - S);
  const perUnit = TRAINED * tokensPerUnit;
  const served = serving(pattern, inference);
  const training = (D, S, N) => perUnit * N * multiplier(S, N) * D;
  return {
    training,
    served,
    total: (D, S, N) => training(D, S, N) + served(S, N),
    idle: inference === null ? () => 0 : (S, N) => served(S, N) / (perUnit * N * multiplier(S, N)),
    serves: inference !== null,
    multiplier,
    perUnit,
    saving: fast || inference !== null ? null : saving,
    dependsOnSize: (fast && cost.training.log_dense_params !== null) || servesBySize(pattern, inference),
  };
}

function serving(pattern, inference) {
  if (inference === null) return () => 0;
  const { tokens, cost } = inference;
  return (S, N) => {
    const dense = N / (1 - S);
    const fast = cost.inference !== null && pattern.accelerated?.includes(S);
    const speedup = cost.zeros_free ? 1 / (1 - S) : fast ? curveAt(cost.inference, dense) : 1;
    return (SERVED * dense * tokens) / speedup;
  };
}

function servesBySize(pattern, inference) {
  if (inference === null || !inference.cost.inference) return false;
  return inference.cost.inference.log_dense_params !== null && pattern.accelerated?.length > 0;
}

// What a budget buys under a cost, as the forms ask it: sparseplan/laws/forms/budget.py.
export function budgetOf(cost, flops) {
  const tokens = flops / cost.perUnit;
  return {
    tokens,
    multiplier: cost.multiplier,
    idle: cost.idle,
    saving: cost.saving,
    dependsOnSize: cost.dependsOnSize,
    closed: !cost.serves && !cost.dependsOnSize,
    data: (S, N) => tokens / (N * cost.multiplier(S, N)) - cost.idle(S, N),
  };
}
