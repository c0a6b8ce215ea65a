// The command line that gives the same answer as the page. Names of laws and devices come quoted for a shell.

import { formatExact } from "./numbers.js";

export function commandFor({ law, priced, inference, pattern, flops, N, M, unique }) {
  const words = ["sparseplan optimal", `--flops ${formatExact(flops)}`];
  if (N !== null) words.push(`--params ${formatExact(N)}`);
  if (M !== null) words.push(`--dense-params ${formatExact(M)}`);
  if (unique !== null) words.push(`--unique-data ${formatExact(unique)}`);
  if (inference !== null) {
    words.push(`--inference-tokens ${formatExact(inference.tokens)}`);
    if (inference.cost !== priced) words.push(`--inference ${inference.cost.argument}`);
  }
  words.push(`--law ${law.argument}`, `--cost ${priced.argument}`);
  if (pattern.word !== "unstructured") words.push(`--pattern ${pattern.word}`);
  return words.join(" ");
}
