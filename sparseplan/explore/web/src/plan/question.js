// From what is chosen on the page to a question for the planner.

import { makeCost } from "./cost.js";
import { parsePattern } from "./pattern.js";

export const byName = (list, name) => list.find((one) => one.name === name) ?? list[0];

// `state` has the names of the options of `sparseplan optimal`: law, cost, pattern, flops, params or dense_params,
// unique_data, inference_tokens and inference. What is not decided is null.
export function makeQuestion(data, state) {
  const law = byName(data.laws, state.law);
  const cost = byName(data.costs, state.cost);
  const pattern = parsePattern(state.pattern);
  const serves = state.inference_tokens ?? null;
  const inference =
    serves === null ? null : { tokens: serves, cost: state.inference ? byName(data.costs, state.inference) : cost };
  return {
    law,
    priced: cost,
    inference,
    pattern,
    cost: makeCost(law, pattern, cost, inference),
    flops: state.flops,
    N: state.params ?? null,
    M: state.dense_params ?? null,
    cap: law.cap,
    unique: state.unique_data ?? null,
    published: data.published,
    gravest: data.gravest,
  };
}
