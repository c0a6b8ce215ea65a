// Sparsity patterns by their words: unstructured, one n:m such as 2:4, or a family such as n:4. See
// sparseplan/sparsity/pattern.py, and for what devices accelerate sparseplan/cost/device.py.

const DEVICE_KEEPS = 2;
const DEVICE_GROUP = 4;

export function parsePattern(word) {
  if (word === "unstructured") return { word, family: word, sparsities: null, single: false };
  const [kept, group] = word.split(":");
  const m = Number(group);
  const all = Array.from({ length: m }, (_, zeros) => zeros / m);
  const single = kept !== "n";
  const sparsities = single ? [(m - Number(kept)) / m] : all;
  const accelerated = m % DEVICE_GROUP === 0 ? sparsities.filter((S) => Math.round((1 - S) * m) <= DEVICE_KEEPS) : [];
  return { word, family: `n:${group}`, sparsities, single, accelerated };
}
