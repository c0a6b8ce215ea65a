// What a plan costs and what a budget buys: sparseplan/cost. A cost is { training, inference, tokensPerUnit, ... } with
//
//   C = 6 N D c_mul(S, N) tokensPerUnit + 2 (N / (1 - S)) T / v(S, N)

import { dependsOnSize, speedup } from "./acceleration.js";
import { length, meanDensity, savingOf, settled } from "./schedule.js";

const TRAINED = 6;
const SERVED = 2;

// The cost of training runs of a law with a pattern, and of serving T tokens where `inference` is { tokens, cost }.
export function makeCost(law, pattern, cost, inference = null) {
  const { schedule, tokens_per_unit: tokensPerUnit } = law;
  const fast = cost.training[pattern.word] ?? null;
  const free = cost.zeros_free;
  const saving = free ? savingOf(schedule) : schedule.kind === "rewinding" || fast !== null ? null : 0;
  const perDense = (S, N) => {
    if (free) return meanDensity(schedule, S);
    const whole = length(schedule, S);
    return fast === null ? whole : whole + settled(schedule, S) * (1 / speedup(fast, S, N / (1 - S)) - 1);
  };
  const multiplier = saving !== null ? (S) => saving + (1 - saving) / (1 - S) : (S, N) => perDense(S, N) / (1 - S);
  const perUnit = TRAINED * tokensPerUnit;
  const faster = inference === null ? null : (inference.cost.inference[pattern.word] ?? null);
  const served = serving(inference, faster);
  const training = (D, S, N) => perUnit * N * multiplier(S, N) * D;
  return {
    training,
    served,
    total: (D, S, N) => training(D, S, N) + served(S, N),
    idle: inference === null ? () => 0 : (S, N) => served(S, N) / (perUnit * N * multiplier(S, N)),
    serves: inference !== null,
    multiplier,
    perUnit,
    saving: inference === null ? saving : null,
    dependsOnSize: dependsOnSize(fast) || dependsOnSize(faster),
  };
}

// FLOPs of inference at sparsity S with N non-zero parameters; where a device is faster, fewer in proportion.
function serving(inference, faster) {
  if (inference === null) return () => 0;
  const { tokens, cost } = inference;
  return (S, N) => {
    const dense = N / (1 - S);
    const times = cost.zeros_free ? 1 / (1 - S) : faster === null ? 1 : speedup(faster, S, dense);
    return (SERVED * dense * tokens) / times;
  };
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
