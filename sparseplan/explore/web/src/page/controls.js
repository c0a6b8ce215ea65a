// The controls: from what people choose to the page's state, and back.

import { byName } from "../plan/question.js";
import { element } from "./dom.js";
import { quantity } from "./quantity.js";
import { offered } from "./state.js";

const COST_WORDS = { sparse: "zeros cost nothing (sparse)", dense: "zeros cost as much as weights (dense)" };
const SIZES = {
  free: "chosen by the planner",
  params: "non-zero parameters given",
  dense_params: "dense parameters given",
};
const SAME = "as in training";

export function makeControls(data, place, changed) {
  const give = (changes) => changed(changes);
  const law = choice("law", "Law", (name) => give(forLaw(name)));
  const cost = choice("cost", "What zeros cost in training", (name) => give({ cost: name }));
  const pattern = choice("pattern", "Pattern", (word) => give({ pattern: word }));
  const size = choice("size", "Model size", chooseSize);
  const inference = choice("inference", "What zeros cost in inference", (name) =>
    give({ inference: name === SAME ? null : name }),
  );
  const flops = quantity({
    id: "flops",
    label: "Budget",
    unit: "FLOPs",
    optional: false,
    start: 1,
    changed: (value) => give({ flops: value }),
  });
  const params = quantity({
    id: "params",
    label: "Parameters",
    unit: "weights",
    optional: false,
    start: 1,
    changed: (value) => give({ [size.select.value]: value }),
  });
  const unique = quantity({
    id: "unique-data",
    label: "Limit unique data",
    unit: "tokens",
    optional: true,
    changed: (value) => give({ unique_data: value }),
  });
  const served = quantity({
    id: "inference-tokens",
    label: "Count inference",
    unit: "tokens",
    optional: true,
    changed: (value) => give({ inference_tokens: value, ...(value === null ? { inference: null } : {}) }),
  });
  const budgetHint = element("p", { class: "hint", id: "budget-hint" });
  flops.field.append(budgetHint);
  place.append(
    flops.field,
    size.field,
    params.field,
    law.field,
    cost.field,
    pattern.field,
    unique.field,
    served.field,
    inference.field,
  );
  let state = null;

  // Another law keeps what it can answer.
  function forLaw(name) {
    const chosen = byName(data.laws, name);
    const [low, high] = chosen.flops;
    const keeps =
      low <= state.flops && state.flops <= high && chosen.data_unit === byName(data.laws, state.law).data_unit;
    const patterns = offered(data, chosen);
    return {
      law: name,
      pattern: patterns.includes(state.pattern) ? state.pattern : patterns[0],
      ...(keeps ? {} : { flops: chosen.budget, params: null, dense_params: null, unique_data: null }),
    };
  }

  function chooseSize(kind) {
    const [low, high] = byName(data.laws, state.law).sizes;
    const given = state.params ?? state.dense_params ?? Number(Math.sqrt(low * high).toPrecision(1));
    give({
      params: kind === "params" ? given : null,
      dense_params: kind === "dense_params" ? given : null,
    });
  }

  return function show(now) {
    state = now;
    const chosen = byName(data.laws, state.law);
    const unit = `${chosen.data_unit}s`;
    const D = chosen.range.data_seen ?? [1e8, 1e12];
    law.offer(
      data.laws.map((one) => [one.name, one.name]),
      state.law,
    );
    cost.offer(
      data.costs.map((one) => [one.name, COST_WORDS[one.name] ?? one.name]),
      state.cost,
    );
    pattern.offer(
      offered(data, chosen).map((word) => [word, word]),
      state.pattern,
    );
    const kind = state.params !== null ? "params" : state.dense_params !== null ? "dense_params" : "free";
    size.offer(Object.entries(SIZES), kind);
    flops.between(chosen.flops);
    flops.show(state.flops);
    params.field.hidden = kind === "free";
    params.between(chosen.sizes, kind === "dense_params" ? "weights before pruning" : "non-zero weights");
    if (kind !== "free") params.show(state[kind]);
    unique.between([D[0] / 1e3, D[1] * 1e3], unit);
    unique.show(state.unique_data);
    served.between([D[0] / 10, D[1] * 1e5]);
    served.show(state.inference_tokens);
    const serves = state.inference_tokens !== null;
    inference.field.hidden = !serves;
    inference.offer(
      [[SAME, SAME], ...data.costs.map((one) => [one.name, COST_WORDS[one.name] ?? one.name])],
      state.inference ?? SAME,
    );
    budgetHint.textContent = serves ? "The budget is the total of training and inference." : "";
  };
}

function choice(id, label, chosen) {
  const select = element("select", { id, onchange: () => chosen(select.value) });
  return {
    select,
    field: element("div", { class: "choice" }, element("label", { for: id }, label), select),
    // Its options as [value, words], and which of them is chosen.
    offer(options, value) {
      const known = Array.from(select.options, (option) => option.value + option.textContent);
      if (known.join("\n") !== options.map((pair) => pair.join("")).join("\n")) {
        select.replaceChildren(...options.map(([one, words]) => element("option", { value: one }, words)));
      }
      select.value = value;
    },
  };
}
