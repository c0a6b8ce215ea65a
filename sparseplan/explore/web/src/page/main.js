// The page: a state, the answer to it, and everything that shows them.

import { answer as answerTo, certaintySteps } from "../plan/answer.js";
import { caveats } from "../plan/caveats.js";
import { bandSteps, curveOf } from "../plan/curve.js";
import { mapSteps, widened } from "../plan/map_grid.js";
import { makeQuestion } from "../plan/question.js";
import { refusal } from "../plan/refusals.js";
import { commandFor } from "../words/command.js";
import { sentences } from "../words/sentences.js";
import { verdict } from "../words/verdict.js";
import { makeControls } from "./controls.js";
import { copies } from "./copy.js";
import { byId, element, showText } from "./dom.js";
import { drawCurve } from "./draw_curve.js";
import { makeMap } from "./draw_map.js";
import { inSlices } from "./slices.js";
import { readFragment, writeFragment } from "./state.js";
import { showTable } from "./table.js";
import { onThemeChange, theme } from "./theme.js";

const SETTLED_MS = 400;
const ADDRESS_MS = 250;

const data = JSON.parse(byId("data").textContent);
let state = readFragment(data, location.hash);
let current = null; // what is shown: the answer, and what is still being computed of it
let mapKey = null;
let grid = null;
let stopMap = () => {};
let stopRest = () => {};
let spoken = null;
let settling = null;

const showMap = makeMap(data, (N, C) => change({ ...state, flops: C, params: N, dense_params: null }));
const showControls = makeControls(data, byId("controls"), (changes) => change({ ...state, ...changes }));

function change(next) {
  state = next;
  update();
  // Browsers refuse an address that changes with every pixel of a slider.
  clearTimeout(settling);
  settling = setTimeout(() => history.replaceState(null, "", writeFragment(state)), ADDRESS_MS);
}

function update() {
  stopRest();
  showControls(state);
  const answer = answerTo(makeQuestion(data, state));
  const { question, planned } = answer;
  const ends = {
    sizes: widened(question.law.sizes, Number.isFinite(planned.best.N) ? planned.best.N : question.law.sizes[0]),
    flops: widened(question.law.flops, question.flops),
  };
  current = { answer, ends, curve: curveOf(answer), band: null, certainty: null };
  document.body.dataset.ready = "no";
  showAnswer();
  draw();
  const stops = [
    inSlices(certaintySteps(answer), (certainty) => {
      current.certainty = certainty;
      showAnswer();
      finished();
    }),
    inSlices(bandSteps(answer), (band) => {
      current.band = band ?? [];
      if (band) drawCurve(answer, current.curve, band, theme());
      finished();
    }),
  ];
  stopRest = () => stops.forEach((stop) => stop());
  updateMap(question, ends);
}

// The map changes with everything but the budget and the size.
function updateMap(question, ends) {
  const { law, cost, pattern, unique_data, inference_tokens, inference } = state;
  const key = JSON.stringify([law, cost, pattern, unique_data, inference_tokens, inference, ends]);
  if (key === mapKey) return;
  stopMap();
  mapKey = key;
  grid = null;
  stopMap = inSlices(mapSteps(question, ends.sizes, ends.flops), (found) => {
    grid = found;
    draw();
    finished();
  });
}

function showAnswer() {
  const { answer, certainty } = current;
  const { question } = answer;
  const drawn = question.law.drawn > 0;
  const intervals = certainty?.intervals ?? null;
  const refused = refusal(answer);
  showText("verdict", refused ?? verdict(answer, intervals));
  byId("band-words").hidden = !drawn;
  byId("details").hidden = refused !== null;
  byId("copy-verdict").hidden = refused !== null || question.law.poor_fit !== null;
  showText("command", commandFor(question));
  showText("link", location.href.split("#")[0] + writeFragment(state));
  if (refused !== null) return;
  showTable(answer, drawn && certainty === null ? undefined : intervals);
  byId("sentences").replaceChildren(...sentences(answer, certainty).map((line) => element("p", {}, line)));
  const warnings = caveats(answer, certainty);
  byId("warnings").replaceChildren(...warnings.map((one) => element("li", { "data-code": one.code }, one.message)));
  byId("warnings-title").hidden = warnings.length === 0;
  showText("law-facts", lawFacts(question.law, intervals));
}

function lawFacts(law, intervals) {
  const facts = [];
  if (law.loss) facts.push(`Loss: ${law.loss}.`);
  if (law.counts_embeddings) facts.push("Parameters are counted with embeddings.");
  if (intervals && law.drawn > intervals.draws) {
    facts.push(`Intervals are over ${intervals.draws} of the law's ${law.drawn} draws.`);
  }
  facts.push(`Law: ${law.name} ${law.hash}${law.date === null ? "" : `, ${law.date}`}.`);
  return facts.join(" ");
}

function draw() {
  const { answer, ends, curve, band } = current;
  if (refusal(answer) !== null) return;
  const colors = theme();
  showMap(answer, grid, ends, colors);
  drawCurve(answer, curve, band?.length ? band : null, colors);
}

// Once everything is there: screen readers hear the verdict when the page has come to rest.
function finished() {
  if (current.certainty === null || current.band === null || grid === null) return;
  document.body.dataset.ready = "yes";
  clearTimeout(spoken);
  spoken = setTimeout(() => showText("spoken", byId("verdict").textContent), SETTLED_MS);
}

for (const button of document.querySelectorAll("button[data-copies]")) copies(button, button.dataset.copies);
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", () => {
  state = readFragment(data, location.hash);
  update();
});
let resizing = null;
addEventListener("resize", () => {
  clearTimeout(resizing);
  resizing = setTimeout(draw, 100);
});
onThemeChange(draw);
update();
