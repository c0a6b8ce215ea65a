// The plan beside the dense one, as a table. Cells carry their exact values, for programs that read the page.

import { epochsOf } from "../plan/repeats.js";
import { formatBounds, formatCount, formatLoss, formatScientific, formatSparsity } from "../words/numbers.js";
import { byId, element } from "./dom.js";

function rowsOf({ question }) {
  const { law, unique, inference } = question;
  const rows = [
    ["sparsity", "Sparsity", (plan) => plan.S, formatSparsity, "sparsity"],
    ["nonzero_params", "Non-zero parameters", (plan) => plan.N, formatCount, "nonzeroParams"],
    ["dense_params", "Dense parameters", (plan) => plan.M, formatCount, "denseParams"],
    ["data_seen", `Data (${law.data_unit}s)`, (plan) => plan.D, formatCount, "data"],
    ["loss", "Loss (nats)", (plan) => plan.loss, formatLoss, "planLoss"],
  ];
  if (unique !== null) rows.splice(4, 0, ["epochs", "Epochs", (plan) => epochsOf(plan.D, unique), formatCount, null]);
  if (inference !== null) {
    rows.push(["train_flops", "Training FLOPs", (plan) => plan.trainFlops, formatScientific, null]);
    rows.push(["inference_flops", "Inference FLOPs", (plan) => plan.inferenceFlops, formatScientific, null]);
  }
  return rows;
}

// Beside the plan's loss stands what this plan may reach; beside its size, what the best size may be. `intervals` is
// undefined while they are being computed, null where the law has none.
export function showTable(answer, intervals) {
  const { best, dense } = answer.planned;
  const drawn = intervals !== null;
  const columns = ["", "Plan", ...(drawn ? ["90% interval"] : []), "Dense plan"];
  const head = element("tr", {}, ...columns.map((word) => element("th", { scope: "col" }, word)));
  const body = rowsOf(answer).map(([key, words, value, write, column]) => {
    const bounds = intervals && column ? intervals[column] : null;
    const spread = intervals === undefined && column ? "…" : bounds ? formatBounds(bounds, write) : "";
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, words),
      element("td", { "data-plan": key, "data-value": value(best) }, write(value(best))),
      ...(drawn ? [element("td", { "data-interval": key, "data-value": bounds ? bounds.join(" ") : "" }, spread)] : []),
      element("td", { "data-dense": key, "data-value": value(dense) }, written(value(dense), write)),
    );
  });
  byId("table").replaceChildren(
    element("caption", {}, `${sizeWords(answer.question)}, beside the best dense plan for the same`),
    element("thead", {}, head),
    element("tbody", {}, ...body),
  );
}

// A figure of the dense plan, where there is one.
const written = (value, write) => (Number.isFinite(value) ? write(value) : "none");

function sizeWords({ N, M }) {
  if (N !== null) return `${formatCount(N)} non-zero parameters`;
  return M !== null ? `${formatCount(M)} dense parameters` : "Size free";
}
