// The page's own code without the page: reads { data, questions, maps, numbers } and prints what it makes of them.

import { readFileSync } from "node:fs";
import { readFragment, writeFragment } from "../../sparseplan/explore/web/src/page/state.js";
import { answer, certaintySteps, finish } from "../../sparseplan/explore/web/src/plan/answer.js";
import { caveats } from "../../sparseplan/explore/web/src/plan/caveats.js";
import { bandSteps, curveOf } from "../../sparseplan/explore/web/src/plan/curve.js";
import { mapSteps } from "../../sparseplan/explore/web/src/plan/map_grid.js";
import { refusal } from "../../sparseplan/explore/web/src/plan/refusals.js";
import { makeQuestion } from "../../sparseplan/explore/web/src/plan/question.js";
import { commandFor } from "../../sparseplan/explore/web/src/words/command.js";
import * as numbers from "../../sparseplan/explore/web/src/words/numbers.js";
import { sentences } from "../../sparseplan/explore/web/src/words/sentences.js";
import { verdict } from "../../sparseplan/explore/web/src/words/verdict.js";

const {
  data,
  questions = [],
  curves = [],
  maps = [],
  fragments = [],
  written = [],
  parsed = [],
} = JSON.parse(readFileSync(0, "utf-8"));

function whole(state) {
  const found = answer(makeQuestion(data, state));
  const refused = refusal(found);
  if (refused !== null) return { refused };
  const { planned, lossGain, anyRatio, ratio, overtraining, uncapped } = found;
  const certainty = finish(certaintySteps(found));
  const { intervals } = certainty;
  return {
    refused,
    planned,
    lossGain,
    anyRatio,
    ratio,
    overtraining,
    uncapped,
    intervals,
    verdict: verdict(found, intervals),
    sentences: sentences(found, certainty),
    warnings: caveats(found, certainty),
    command: commandFor(found.question),
    fragment: writeFragment(readFragment(data, writeFragment(state))),
  };
}

process.stdout.write(
  JSON.stringify({
    answers: questions.map(whole),
    curves: curves.map((state) => {
      const found = answer(makeQuestion(data, state));
      return { curve: curveOf(found), band: finish(bandSteps(found)) };
    }),
    maps: maps.map(({ state, sizes, flops }) => {
      const grid = finish(mapSteps(makeQuestion(data, state), sizes, flops));
      return { ...grid, sparsity: Array.from(grid.sparsity), extrapolated: Array.from(grid.extrapolated) };
    }),
    states: fragments.map((fragment) => readFragment(data, fragment)),
    written: written.map(([name, value]) => numbers[name](value)),
    parsed: parsed.map((text) => numbers.parsePositive(text)),
  }),
);
