// A law as the page holds it: what Python packed (sparseplan/explore/data.py), and the thetas made of it.

import { FORMS } from "./forms.js";
import { Mean } from "./mean.js";
import { Repeated } from "./repeated.js";

const ARRAYS = { "float32-base64": Float32Array, "float64-base64": Float64Array };

// The coefficient set that answers for a pattern family: its own, else the unstructured one; null where there is none.
export function setFor(law, family) {
  return family in law.sets ? family : "unstructured" in law.sets ? "unstructured" : null;
}

// The law's values: a theta for the family and one for dense models. With `unique` data, for runs that draw on it.
export function lawSides(law, family, unique = null) {
  const make = (name) => {
    const parts = law.sets[name].values.map(({ form, weight, values }) => [weight, new FORMS[form](values)]);
    return limited(parts.length === 1 ? parts[0][1] : new Mean(parts), law.repetition, unique);
  };
  return { sparse: make(setFor(law, family)), dense: make(law.mainSet) };
}

// The law's draws likewise, an array of pairs; empty where it has none. What was not drawn keeps its value.
export function drawSides(law, family, unique = null) {
  const sparse = unpacked(law.sets[setFor(law, family)]);
  const dense = unpacked(law.sets[law.mainSet]);
  const values = lawSides(law, family);
  return Array.from({ length: Math.max(sparse.length, dense.length) }, (_, i) => {
    const rates = law.repetition.draws?.[i] ?? law.repetition;
    return {
      sparse: limited(sparse[i] ?? values.sparse, rates, unique),
      dense: limited(dense[i] ?? values.dense, rates, unique),
    };
  });
}

const limited = (theta, rates, unique) => (unique === null ? theta : new Repeated(theta, rates, unique));

const kept = new WeakMap();

function unpacked(set) {
  if (!kept.has(set)) kept.set(set, set.draws.flatMap(rows));
  return kept.get(set);
}

function rows({ form, count, columns, encoding, data }) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const table = new ARRAYS[encoding](bytes.buffer);
  return Array.from({ length: count }, (_, i) => {
    const start = i * columns.length;
    return new FORMS[form](Object.fromEntries(columns.map((column, j) => [column, table[start + j]])));
  });
}
