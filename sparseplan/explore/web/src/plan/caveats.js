// What a plan can't vouch for: how far it lies outside what the law's runs covered, and the warnings that follow.
// sparseplan/plan/caveats.py and repeats.py; messages that the law's file causes come from Python.

import { formatCount, formatSparsity } from "../words/numbers.js";
import { exponential, fixed, significant } from "../words/rounding.js";
import { denseRunFor } from "./plan.js";
import { spreadOfRates } from "./repeats.js";

const ROUNDING = 1.02; // people write 85M for 84.9M; that is no extrapolation
const [WIDE_GAP, WIDE_DENSITY, EDGE] = [0.3, 3, 0.1];

export function factorWords(factor) {
  if (factor < 1.095) return `${fixed(factor, 2)}x`;
  if (factor < 9.95) return `${fixed(factor, 1)}x`;
  return factor < 9999.5 ? `${fixed(factor, 0)}x` : `${exponential(factor, 2).replace("+", "")}x`;
}

const isOutside = (value, bounds) =>
  bounds !== null && !(bounds[0] / ROUNDING <= value && value <= bounds[1] * ROUNDING);

function beyond(value, [low, high]) {
  return value > high ? [value / high, true, high] : [low / value, false, low];
}

// How far a run lies outside the law's runs, as messages.
function distances({ law, unique, data }, { S, N, D }) {
  const found = [];
  const { nonzero_params, data_seen, sparsity } = law.range;
  const unit = `${law.data_unit}s`;
  if (isOutside(N, nonzero_params)) {
    const [factor, more, end] = beyond(N, nonzero_params);
    found.push(
      `${factorWords(factor)} ${more ? "larger" : "smaller"} than any model of the law's runs (${formatCount(end)})`,
    );
  }
  if (isOutside(D, data_seen)) {
    const [factor, more, end] = beyond(D, data_seen);
    found.push(
      `${factorWords(factor)} ${more ? "more" : "fewer"} ${unit} than any of the law's runs saw (${formatCount(end)})`,
    );
  }
  if (sparsity !== null && (S > sparsity[1] || S < sparsity[0])) {
    const [word, end] = S > sparsity[1] ? ["sparser", sparsity[1]] : ["less sparse", sparsity[0]];
    found.push(`${formatSparsity(S)} is ${word} than any of the law's runs (${formatSparsity(end)})`);
  }
  return unique === null ? found : [...found, ...repeatDistances(law, unique, D)];
}

function repeatDistances(law, unique, D) {
  const epochs = Math.max(D / unique, 1);
  if (epochs <= ROUNDING) return [];
  const { lender, range } = law.repetition;
  return [
    [unique, range.unique_data, `unique ${law.data_unit}s`],
    [epochs, range.epochs, "epochs"],
  ]
    .filter(([value, bounds]) => isOutside(value, bounds))
    .map(([value, bounds, words]) => {
      const [factor, more, end] = beyond(value, bounds);
      const whose = `the runs behind ${lender}'s rates of repetition`;
      return `${factorWords(factor)} ${more ? "more" : "fewer"} ${words} than ${whose} (${formatCount(end)})`;
    });
}

// What lies outside: pairs of a thing (the plan, the dense plan, the dense run of equal loss) and its distances.
export function extrapolation({ question, sides, planned }) {
  const { best, dense, equal } = planned;
  const found = [["plan", distances(question, best)]];
  if (best.S > 0) {
    if (Number.isFinite(dense.spent)) found.push(["dense plan", distances(question, dense)]);
    if (Number.isFinite(equal) && equal > 0) {
      const [N, D] = denseRunFor(sides.dense, question, best.reducible);
      found.push(["dense run of equal loss", distances(question, { S: 0, N, D })]);
    }
  }
  return found.filter(([, messages]) => messages.length > 0);
}

// The models whose width lies outside what was measured on the device.
export function widthDistances({ question, planned }) {
  const { widths, width_offset } = question.priced;
  if (widths === null) return [];
  const [low, high] = widths;
  const models = new Map([
    [planned.dense.M, "dense plan's model"],
    [planned.best.M, "plan's model"],
  ]);
  return [...models]
    .map(([M, name]) => [M, name, Math.exp((Math.log(M) + width_offset) / 3)])
    .filter(([, , width]) => Number.isFinite(width) && isOutside(width, widths))
    .map(([M, name, width]) => {
      const wide = width > high;
      const ratio = wide ? `${significant(width / high, 3)}x` : `${significant((100 * width) / low, 2)}% of`;
      const edge = `the ${wide ? "widest" : "narrowest"} measured (${significant(wide ? high : low, 6)})`;
      const model = `the ${name} (${formatCount(M)})`;
      return `${model} is about ${fixed(width, 0)} wide, ${ratio} ${edge}, whose speed stands in`;
    });
}

// Every warning of an answer, the gravest first; `certainty` is null while it is being computed.
export function caveats(answer, certainty) {
  const { intervals, brackets } = certainty ?? { intervals: null, brackets: [] };
  const { question, planned, uncapped, onlyDense } = answer;
  const { law, pattern, priced } = question;
  const found = [...law.caveats[pattern.family]].filter((one) => !(onlyDense && one.code === "schedule-assumed"));
  const add = (code, message) => found.push({ code, message });
  if (onlyDense) {
    const held = pattern.sparsities?.some((one) => one > 0) ? ` up to a sparsity of ${formatSparsity(law.cap)}` : "";
    add("only-dense", `no sparsity above 0 is allowed: the pattern ${pattern.word}${held} leaves dense models only`);
  }
  for (const [thing, messages] of extrapolation(answer)) {
    if (thing === "plan") add("extrapolation", `extrapolated: ${messages.join(", ")}`);
    else add("dense-extrapolation", `the ${thing} is extrapolated too: ${messages.join(", ")}`);
  }
  const reach = law.cap;
  if (uncapped !== null && !pattern.single && uncapped > reach) {
    const near = 1 - uncapped >= (1 - reach) / 2;
    const advice = near ? ". Lift the cap with --max-sparsity" : `, too far beyond ${formatSparsity(reach)}`;
    add(
      "sparsity-capped",
      `S is held at ${formatSparsity(reach)}; the law alone would go to ${formatSparsity(uncapped)}${advice}`,
    );
  }
  const inGap = [planned.best.S, ...brackets.map((one) => one.S)].find((S) => gapAround(law.levels, S) !== null);
  if (inGap !== undefined) {
    const [low, high] = gapAround(law.levels, inGap).map(formatSparsity);
    add(
      "sparsity-gap",
      `no run has a sparsity between ${low} and ${high}: ${formatSparsity(inGap)} is what the form says there`,
    );
  }
  if (intervals?.leftOut > 0) {
    add("draws-left-out", `${intervals.leftOut} of ${intervals.draws} draws overflow and were left out`);
  }
  if (question.unique !== null) found.push(...repeatCaveats(answer));
  found.push(
    ...priced.caveats,
    ...widthDistances(answer).map((message) => ({ code: "hardware-extrapolation", message })),
  );
  const rank = (one) => question.gravest.indexOf(one.code) + 1 || question.gravest.length + 1;
  return found
    .map((one, i) => [rank(one), i, one])
    .sort((a, b) => a[0] - b[0] || a[1] - b[1])
    .map(([, , one]) => one);
}

// The neighbouring levels of a wide gap that S lies inside of; null where there is none.
function gapAround(levels, S) {
  for (let i = 1; i < (levels?.length ?? 0); i++) {
    const [low, high] = [levels[i - 1], levels[i]];
    const wide = high - low > WIDE_GAP || (1 - low) / (1 - high) > WIDE_DENSITY;
    const edge = EDGE * (high - low);
    if (wide && low + edge < S && S < high - edge) return [low, high];
  }
  return null;
}

function repeatCaveats(answer) {
  const { question, planned } = answer;
  const { law, unique } = question;
  const { lender, lender_unit, borrowed, draws } = law.repetition;
  if (Math.max(planned.best.D, planned.dense.D) / unique <= ROUNDING) return [];
  const found = [];
  if (borrowed) {
    const unit = lender_unit === law.data_unit ? "" : `, on ${lender_unit}s`;
    const message = `this law says nothing of repeated data: the rates are ${lender}'s, of other models${unit}`;
    found.push({ code: "repetition-borrowed", message });
  }
  if (law.drawn > 0 && draws === null) {
    const message = "the intervals take the rates of repetition as exactly known; compare the published ones";
    found.push({ code: "repetition-undrawn", message });
  }
  const sparse = planned.best.S > 0;
  const against = spreadOfRates(answer).filter(({ plan }) => plan.S > 0 !== sparse);
  if (against.length) {
    const [here, there] = sparse ? ["a sparse", "a dense"] : ["a dense", "a sparse"];
    const others = against.map((one) => one.lender).join(" and ");
    const sides = `${lender}'s make ${here} model best, ${others}'s ${there} one`;
    const message = `the published rates of repetition disagree: ${sides}`;
    found.push({ code: "repetition-disagreement", message });
  }
  return found;
}
