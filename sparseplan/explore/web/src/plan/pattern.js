// Sparsity patterns by their words: unstructured, one n:m such as 2:4, or a family such as n:4:
// sparseplan/sparsity/pattern.py.

export function parsePattern(word) {
  if (word === "unstructured") return { word, family: word, sparsities: null, single: false };
  const [kept, group] = word.split(":");
  const m = Number(group);
  const all = Array.from({ length: m }, (_, zeros) => zeros / m);
  const single = kept !== "n";
  const sparsities = single ? [(m - Number(kept)) / m] : all;
  return { word, family: `n:${group}`, sparsities, single };
}
