// What is said below the table of a plan: sparseplan/report/plan_sentences.py.

import { epochsOf, repetition, spreadOfRates } from "../plan/repeats.js";
import {
  formatBounds,
  formatCount,
  formatDifference,
  formatLoss,
  formatPercent,
  formatRatio,
  formatRegret,
  formatScientific,
  formatSparsity,
} from "./numbers.js";
import { fixed } from "./rounding.js";
import { needed } from "./verdict.js";

// `certainty` is null while it is being computed.
export function sentences(answer, certainty) {
  if (answer.question.law.poor_fit !== null) return [];
  const { intervals, brackets, breakEven } = certainty ?? { intervals: null, brackets: [], breakEven: null };
  return [
    ...againstDense(answer),
    ...bothCosts(answer, brackets),
    ...serving(answer, breakEven),
    ...repeats(answer),
    ...howSure(answer, intervals),
  ];
}

function againstDense({ question, planned, onlyDense, lossGain, overtraining, optimalFlops }) {
  const { best, dense } = planned;
  const free = question.N === null && question.M === null;
  const lines = [];
  if (onlyDense) lines.push("Only dense models are allowed here.");
  else if (!Number.isFinite(lossGain)) {
    lines.push("The budget pays for no dense model of this size beside its inference.");
  } else if (best.S === 0) lines.push("No allowed sparsity reaches a lower loss than the dense plan.");
  else {
    const rival = free ? "the best dense model" : "dense at this size";
    const gap = formatDifference(Math.abs(lossGain));
    lines.push(`Sparsity ${lossGain >= 0 ? "lowers" : "raises"} the loss by ${gap} nats against ${rival}.`);
  }
  if (!free && overtraining > 0 && Number.isFinite(overtraining)) {
    const word =
      overtraining >= 1 ? `Overtrained ${formatRatio(overtraining)}` : `Undertrained ${formatRatio(1 / overtraining)}`;
    const optimal = formatScientific(optimalFlops);
    lines.push(`${word}: for ${formatCount(dense.N)} dense, ${optimal} FLOPs would be compute-optimal.`);
  }
  return lines;
}

const BRACKETS = { sparse: "Zeros free", dense: "Zeros at full price" };

function bothCosts({ question }, brackets) {
  if (brackets.length === 0) return [];
  return [brackets.map((one) => `${BRACKETS[one.cost]}: ${bracket(question, one)}.`).join(" ")];
}

function bracket({ unique }, { S, ratio, sparsities, ratios }) {
  if (S === 0) {
    const some = sparsities !== null && sparsities[1] > 0;
    return `stay dense${some ? ` (draws: ${formatBounds(sparsities, formatSparsity)} sparse)` : ""}`;
  }
  const sparse = `${formatSparsity(S)} sparse`;
  if (unique !== null && ratio === 0) return `${sparse} reaches what no compute of a dense model does`;
  return `${sparse} is worth ${needed(ratio)}${inverse(ratios)} the compute of the best dense model`;
}

// An interval of a compute ratio as one of its inverse; a ratio of 0 has no highest inverse.
function inverse(ratios) {
  if (ratios === null) return "";
  const [low, high] = ratios;
  return low <= 0 ? ` (at least ${needed(high)})` : ` (${formatBounds([1 / high, 1 / low], formatRatio)})`;
}

const SERVED = { sparse: "zeros cost nothing", dense: "zeros cost as much as weights" };

function serving({ question: { inference }, onlyDense }, breakEven) {
  if (inference === null) return [];
  const { tokens, cost } = inference;
  const line = `Inference: ${formatCount(tokens)} tokens, ${SERVED[cost.name] ?? `speed-ups of ${cost.name} in prefill`}.`;
  if (onlyDense || breakEven === null) return [line];
  if (breakEven.tokens === null) {
    return [`${line} Sparsity pays at ${breakEven.pays === "always" ? "any" : "no"} demand under these givens.`];
  }
  const side = breakEven.pays === "above" ? "from" : "up to";
  return [`${line} Sparsity pays ${side} ${formatCount(breakEven.tokens)} tokens of inference.`];
}

const formatEpochs = (epochs) => (epochs < 999.95 ? fixed(epochs, 1) : formatCount(epochs));

function repeats(answer) {
  const { question, planned } = answer;
  const { law, unique } = question;
  if (unique === null) return [];
  const spread = spreadOfRates(answer);
  if (spread.length === 0) return ["No data is repeated."];
  const counted = repetition(answer);
  const whose = `${law.repetition.lender}'s rates${law.repetition.borrowed ? ", borrowed" : ""}`;
  return [
    `In the plan ${formatEpochs(epochsOf(planned.best.D, unique))} epochs of ` +
      `${formatCount(Math.min(unique, planned.best.D))} ${law.data_unit}s count as ` +
      `${formatCount(counted.effectiveData)} unique ones, its size as ${formatCount(counted.effectiveParams)} ` +
      `(${whose}: R_D ${fixed(counted.R_D, 1)}, R_N ${fixed(counted.R_N, 1)}).`,
    ...spread.map(({ lender, R_D, plan, gain }) => {
      const gap = `${fixed(Math.abs(gain), 4)} nats ${gain >= 0 ? "below" : "above"} dense`;
      const what = plan.S === 0 ? "stay dense" : `${formatSparsity(plan.S)} sparse, ${gap}`;
      const epochs = formatEpochs(epochsOf(plan.D, unique));
      return (
        `With ${lender}'s rates (R_D ${fixed(R_D, 1)}) instead: ${what}, ${formatCount(plan.N)} parameters, ` +
        `${epochs} epochs, loss ${formatLoss(plan.loss)}.`
      );
    }),
  ];
}

function howSure({ onlyDense }, intervals) {
  if (intervals === null || onlyDense) return [];
  const { draws } = intervals;
  if (intervals.pBeatsBestDense === null) {
    const share = formatPercent(intervals.pSparseBetter);
    return [`In ${share} of the law's ${draws} draws some allowed sparsity would beat the dense plan.`];
  }
  return [
    `Over the law's ${draws} draws this plan beats each draw's best dense model in ` +
      `${formatPercent(intervals.pBeatsBestDense)}, and in the median loses ` +
      `${formatRegret(intervals.regretMedian)} nats against each draw's own optimum (95%: ` +
      `${formatRegret(intervals.regret95)}).`,
  ];
}
