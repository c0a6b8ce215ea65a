// The loss over sparsity against the dense plan, with its band over the law's draws.

import { areaY, axisX, axisY, dot, lineY, link, plot, ruleX, ruleY } from "@observablehq/plot";
import { formatDifference, formatSparsity } from "../words/numbers.js";
import { byId } from "./dom.js";

export function drawCurve(answer, curve, band, theme) {
  const { question, planned } = answer;
  const width = byId("curve").clientWidth || 640;
  const shown = curve.filter(({ gap }) => Number.isFinite(gap));
  const discrete = question.pattern.sparsities !== null;
  const best = shown.length ? { S: planned.best.S, gap: planned.best.loss - planned.dense.loss } : null;
  const marks = [
    ruleY([0], { stroke: theme.ink, strokeOpacity: 0.5, strokeDasharray: "2 3" }),
    axisX({ label: "Sparsity", tickFormat: formatSparsity, ticks: width < 480 ? 4 : 7 }),
    axisY({ label: "Loss less that of the dense plan (nats)", ticks: 5 }),
  ];
  if (discrete) {
    if (band)
      marks.push(
        link(band, { x1: "S", x2: "S", y1: "low", y2: "high", stroke: theme.line, strokeWidth: 3, strokeOpacity: 0.4 }),
      );
    marks.push(dot(shown, { x: "S", y: "gap", fill: theme.line, r: 4 }));
  } else {
    if (band) marks.push(areaY(band, { x: "S", y1: "low", y2: "high", fill: theme.line, fillOpacity: 0.2 }));
    marks.push(lineY(shown, { x: "S", y: "gap", stroke: theme.line, strokeWidth: 2 }));
  }
  if (best && Number.isFinite(best.gap)) {
    marks.push(ruleX([best.S], { stroke: theme.accent, strokeOpacity: 0.6 }));
    marks.push(
      dot([best], {
        x: "S",
        y: "gap",
        symbol: "star",
        r: 8,
        fill: theme.accent,
        stroke: theme.background,
        strokeWidth: 1.5,
      }),
    );
  }
  const made = plot({
    width,
    height: Math.round(Math.min(width * 0.62, 320)),
    marginLeft: 58,
    marginBottom: 40,
    style: { background: "transparent", color: theme.ink },
    x: { domain: [0, Math.max(...curve.map(({ S }) => S), 0.01)] },
    y: { nice: true },
    marks,
  });
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", curveWords(answer, best, band));
  byId("curve").replaceChildren(made);
}

function curveWords({ question }, best, band) {
  const spread = band ? ", with its 90% band over the law's draws" : "";
  if (best === null || !Number.isFinite(best.gap)) return "No dense plan to compare losses with.";
  const side = best.gap <= 0 ? "below" : "above";
  return (
    `Loss over sparsity less that of the dense plan by the law ${question.law.name}${spread}. The plan, at ` +
    `${formatSparsity(best.S)}, lies ${formatDifference(Math.abs(best.gap))} nats ${side} dense.`
  );
}
