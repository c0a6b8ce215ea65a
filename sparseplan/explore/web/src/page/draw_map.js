// The map as a picture: best sparsity by colour, the sizes that are compute-optimal for dense models, and the plan.

import { axisX, axisY, dot, line, plot, raster } from "@observablehq/plot";
import { geometric } from "../plan/map_grid.js";
import { formatCount, formatScientific, formatSparsity } from "../words/numbers.js";
import { faded, sparsityColor } from "./colors.js";
import { byId, element } from "./dom.js";

const LEVELS = [0, 0.25, 0.5, 0.75, 0.875, 0.9375];
const LINE_POINTS = 60;
const [TICK_WIDTH, TICK_HEIGHT] = [60, 45];

// Returns a function that shows an answer on the map. It draws the map again only where something of it has changed;
// else the star alone moves. `chosen(N, C)` hears of a click.
export function makeMap({ palette }, chosen) {
  let shown = null; // the picture, and what it was drawn from

  // `grid` is null while it is being computed.
  return function show(answer, grid, ends, theme) {
    const width = byId("map").clientWidth || 640;
    const key = JSON.stringify([answer.question.law.name, ends, theme, width]);
    if (shown === null || shown.grid !== grid || shown.key !== key) {
      const picture = drawn(palette, answer, grid, ends, theme, width);
      listen(picture, chosen);
      byId("map").replaceChildren(picture);
      byId("map-legend").replaceChildren(...LEVELS.map((S) => swatch(palette, S)));
      shown = { picture, grid, key };
    }
    const { picture } = shown;
    const place = [
      picture.scale("x").apply(Math.log10(answer.planned.best.N)),
      picture.scale("y").apply(Math.log10(answer.question.flops)),
    ];
    picture.querySelector('[aria-label="dot"] path').setAttribute("transform", `translate(${place})`);
    picture.setAttribute("aria-label", mapWords(answer));
  };
}

function drawn(palette, { question, sides }, grid, ends, theme, width) {
  const height = Math.round(Math.min(width * 0.72, 440));
  const optimal = geometric(ends.sizes, LINE_POINTS)
    .map((N) => [N, question.cost.training(sides.dense.optimalTokens(N), 0, 1)])
    .filter(([, C]) => C >= ends.flops[0] && C <= ends.flops[1])
    .map((point) => point.map(Math.log10));
  const [x, y] = [ends.sizes.map(Math.log10), ends.flops.map(Math.log10)]; // the picture is linear in these
  const made = plot({
    width,
    height,
    marginLeft: 52,
    marginBottom: 40,
    style: { background: "transparent", color: theme.ink },
    x: { domain: x },
    y: { domain: y },
    color: { type: "identity" },
    marks: [
      ...(grid ? [cells(palette, grid, x, y, theme)] : []),
      axisX({ label: "Non-zero parameters", ticks: powers(x, width / TICK_WIDTH), tickFormat: sizeWord }),
      axisY({
        label: "Budget (FLOPs)",
        ticks: powers(y, height / TICK_HEIGHT),
        tickFormat: (d) => formatScientific(10 ** d),
      }),
      line(optimal, { stroke: theme.ink, strokeWidth: 1.5, strokeDasharray: "5 4" }),
      dot([[x[0], y[0]]], { symbol: "star", r: 8, fill: theme.accent, stroke: theme.background, strokeWidth: 1.5 }),
    ],
  });
  made.setAttribute("role", "img");
  return made;
}

function cells(palette, { sparsity, extrapolated, columns, rows }, [x1, x2], [y1, y2], theme) {
  const fill = Array.from(sparsity, (S, i) => {
    if (Number.isNaN(S)) return theme.background; // inference alone takes more than the budget
    const color = sparsityColor(palette, S);
    return extrapolated[i] ? faded(color, theme.background) : color;
  });
  return raster(fill, { width: columns, height: rows, x1, x2, y1, y2, fill: (d) => d, imageRendering: "auto" });
}

function listen(picture, chosen) {
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const scale = picture.viewBox.baseVal.width / box.width;
    const at = (name, pixels) => {
      const { invert, domain } = picture.scale(name);
      return 10 ** Math.min(Math.max(invert(pixels * scale), domain[0]), domain[1]);
    };
    const [N, C] = [at("x", event.clientX - box.left), at("y", event.clientY - box.top)];
    chosen(Number(N.toPrecision(3)), Number(C.toPrecision(3)));
  });
}

function swatch(palette, S) {
  const color = element("span", { class: "color" });
  color.style.backgroundColor = sparsityColor(palette, S);
  return element("span", { class: "swatch" }, color, S === 0 ? "dense" : formatSparsity(S));
}

// Exponents of powers of ten between two ends, at most so many.
function powers([low, high], most) {
  const every = Math.max(1, Math.ceil((high - low) / most));
  const found = [];
  for (let x = Math.ceil(low / every) * every; x <= high; x += every) found.push(x);
  return found;
}

// 1M for 6
const sizeWord = (exponent) => formatCount(Number(`1e${exponent}`)).replace(/\.0+/, "");

function mapWords({ question, planned }) {
  const { best } = planned;
  const where = `${formatCount(best.N)} non-zero parameters and ${formatScientific(question.flops)} FLOPs`;
  return (
    `Map of the best sparsity over non-zero parameters and budgets by the law ${question.law.name}. ` +
    `The plan: ${formatSparsity(best.S)} at ${where}.`
  );
}
