// How sure a plan is: central 90 % intervals over the law's draws, and what the plan as it stands loses under each of
// them. sparseplan/plan/intervals.py.

import { lossOf } from "./plan.js";

const LEVEL = 0.9;

export function quantile(sorted, share) {
  const place = share * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.ceil(place);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

export function bounds(values) {
  const sorted = Float64Array.from(values).sort();
  return [quantile(sorted, (1 - LEVEL) / 2), quantile(sorted, (1 + LEVEL) / 2)];
}

// From the plan for the law's values, and for every draw its sides and its own plan.
export function planIntervals(planned, draws, drawn) {
  const { best, dense } = planned;
  const rows = drawn.map((one, i) => ({
    S: one.best.S,
    N: one.best.N,
    M: one.best.M,
    D: one.best.D,
    loss: one.best.loss,
    planLoss: lossOf(draws[i], best),
    gain: one.dense.loss - one.best.loss,
    ratio: one.best.spent / one.equal,
    anyRatio: one.best.spent / one.anyEqual,
    lost: lossOf(draws[i], best) - one.best.loss,
    beats: lossOf(draws[i], best) < one.anyDense.loss,
    better:
      best.S > 0
        ? !Number.isFinite(dense.spent) || lossOf(draws[i], best) < lossOf(draws[i], dense)
        : one.best.loss < one.dense.loss,
    denseLoss: one.dense.loss,
  }));
  const real = rows.filter((row) => ["S", "N", "M", "D", "loss"].every((name) => Number.isFinite(row[name])));
  if (real.length < 2) return null;
  const column = (name) => real.map((row) => row[name]);
  const share = (name) => column(name).filter(Boolean).length / real.length;
  const lost = Float64Array.from(column("lost")).sort();
  return {
    draws: rows.length,
    leftOut: rows.length - real.length,
    sparsity: bounds(column("S")),
    nonzeroParams: bounds(column("N")),
    denseParams: bounds(column("M")),
    data: bounds(column("D")),
    loss: bounds(column("loss")),
    planLoss: bounds(column("planLoss")),
    denseLoss: bounds(column("denseLoss")),
    lossGain: bounds(column("gain")),
    computeRatio: bounds(column("anyRatio")),
    regretMedian: quantile(lost, 0.5),
    regret95: quantile(lost, 0.95),
    pBeatsBestDense: best.S > 0 ? share("beats") : null,
    pSparseBetter: share("better"),
  };
}
