// The best plan for a question and the dense ones beside it: sparseplan/plan/question.py and sides.py, for one theta.
//
// A question is { cost, flops, N, M, pattern, cap }: N non-zero parameters or M before pruning where decided, or null.

import { budgetOf } from "./cost.js";

const ABOVE_ZERO = 1e-12;
const AS_GOOD_AS_DENSE = 5e-4;

// The run of sparsity S that spends the budget; its loss is NaN where inference alone takes more than that.
export function planAt(theta, question, S) {
  const { cost, flops } = question;
  const budget = budgetOf(cost, flops);
  const N = question.N ?? (question.M !== null ? question.M * (1 - S) : theta.bestSize(S, budget));
  const D = budget.data(S, N);
  const paid = D > 0;
  const inferenceFlops = cost.served(S, N);
  const reducible = paid ? theta.reducible(S, N, D) : NaN;
  return {
    S,
    N,
    M: N / (1 - S),
    D: paid ? D : Infinity,
    reducible,
    loss: reducible + theta.floor,
    trainFlops: paid ? flops - inferenceFlops : Infinity,
    inferenceFlops,
    spent: paid ? flops : Infinity,
  };
}

const wanted = (plan) => (Number.isNaN(plan.reducible) ? Infinity : plan.reducible);

// The sparsities above 0 that a question allows; null where every one up to the cap.
export function allowed({ pattern, cap }) {
  if (pattern.sparsities === null) return null;
  return pattern.sparsities.filter((S) => S >= ABOVE_ZERO && (pattern.single || S <= cap));
}

export function isOnlyDense(question) {
  const choices = allowed(question);
  return choices === null ? question.cap === 0 : choices.length === 0;
}

const allowsDense = ({ pattern }) => pattern.sparsities === null || pattern.sparsities.includes(0);

function bestSparse(theta, question) {
  const choices = allowed(question);
  if (choices === null) return planAt(theta, question, bestSparsity(theta, question, question.cap));
  const plans = choices.map((S) => planAt(theta, question, S));
  return plans.reduce((best, plan) => (wanted(plan) < wanted(best) ? plan : best));
}

// The best unstructured sparsity up to `highest`.
export function bestSparsity(theta, question, highest) {
  const closed = theta.closedSparsity(budgetOf(question.cost, question.flops), question);
  if (closed !== null) return Math.min(closed, highest);
  return theta.searchedSparsity((S) => wanted(planAt(theta, question, S)), highest);
}

// The best allowed plan; the law's dense model speaks for S = 0.
export function bestPlan(sides, question, dense = planAt(sides.dense, question, 0)) {
  if (isOnlyDense(question)) return dense;
  const sparse = bestSparse(sides.sparse, question);
  if (!allowsDense(question)) return sparse;
  return sparse.S < AS_GOOD_AS_DENSE || wanted(dense) <= wanted(sparse) ? dense : sparse;
}

// The plan, the best dense one under the same givens and with the size free, and what dense runs need for its loss.
export function planSides(sides, question) {
  const free = { ...question, N: null, M: null };
  const sizeIsFree = question.N === null && question.M === null;
  const dense = planAt(sides.dense, question, 0);
  const best = bestPlan(sides, question, dense);
  return {
    best,
    dense,
    anyDense: sizeIsFree ? dense : planAt(sides.dense, free, 0),
    equal: denseFlopsFor(sides.dense, question, best.reducible),
    anyEqual: denseFlopsFor(sides.dense, free, best.reducible),
  };
}

// FLOPs of the cheapest dense run under a question's givens that reaches a reducible loss; infinite where none does.
function denseFlopsFor(theta, question, reducible) {
  const [N, D] = denseRunFor(theta, question, reducible);
  return question.cost.total(D, 0, N);
}

export function denseRunFor(theta, { cost, N, M }, reducible) {
  const size = N ?? M ?? theta.cheapestSize(0, reducible, cost.idle(0, 1));
  return [size, theta.dataFor(0, size, reducible)];
}

// The loss of a plan as it stands, under other coefficients.
export function lossOf(sides, plan) {
  return (plan.S > 0 ? sides.sparse : sides.dense).loss(plan.S, plan.N, plan.D);
}
