// What is chosen on the page, as the fragment of its address and back. The words are those of the command line. What a
// fragment says is not trusted: names are looked up among those that the page has, and everything else is a number.

import { setFor } from "../laws/law.js";
import { byName } from "../plan/question.js";
import { parsePattern } from "../plan/pattern.js";
import { formatExact, parsePositive } from "../words/numbers.js";

const NUMBERS = ["flops", "params", "dense_params", "unique_data", "inference_tokens"];

export function firstState(data) {
  const law = data.laws[0];
  return {
    law: law.name,
    cost: data.costs[0].name,
    pattern: offered(data, law)[0],
    flops: law.budget,
    params: null,
    dense_params: null,
    unique_data: null,
    inference_tokens: null,
    inference: null,
  };
}

// The patterns that a law answers for.
export const offered = (data, law) => data.patterns.filter((word) => setFor(law, parsePattern(word).family) !== null);

export function readFragment(data, fragment) {
  const asked = new URLSearchParams(fragment.replace(/^#/, ""));
  const law = byName(data.laws, asked.get("law"));
  const state = { ...firstState(data), law: law.name, flops: law.budget };
  const patterns = offered(data, law);
  state.cost = byName(data.costs, asked.get("cost")).name;
  state.pattern = patterns.includes(asked.get("pattern")) ? asked.get("pattern") : patterns[0];
  for (const name of NUMBERS) {
    const value = parsePositive(asked.get(name.replace("_", "-")) ?? "");
    if (!Number.isNaN(value)) state[name] = value;
  }
  if (state.params !== null) state.dense_params = null;
  const inference = data.costs.find((cost) => cost.name === asked.get("inference"));
  if (state.inference_tokens !== null && inference) state.inference = inference.name;
  return state;
}

export function writeFragment(state) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value === null) continue;
    words.set(name.replace("_", "-"), typeof value === "number" ? formatExact(value) : value);
  }
  return `#${words}`;
}
