// How much faster than dense a device runs a sparsity of a pattern: sparseplan/hardware/acceleration.py, by parameters
// before pruning in place of the width.

import { interpolated } from "../numeric/interpolated.js";

export function speedup({ as_2to4, curve, exact, sparsities, speeds }, S, denseParams) {
  let fast = as_2to4.includes(S) && curve !== null ? at(curve, denseParams) : 1;
  for (const [sparsity, times] of exact) if (sparsity === S) fast = times;
  if (sparsities.length === 0 || S < sparsities[0]) return sparsities.length === 0 ? fast : Math.max(fast, 1);
  const places = sparsities.map((one) => -Math.log1p(-one));
  return Math.max(fast, interpolated(places, speeds, -Math.log1p(-S)));
}

export const dependsOnSize = (acceleration) =>
  acceleration !== null && (acceleration.curve?.log_dense_params ?? null) !== null;

// Linear in the logarithm of the parameters between its points; one number for all sizes where it has none.
function at({ log_dense_params: places, values }, denseParams) {
  return places === null ? values[0] : interpolated(places, values, Math.log(denseParams));
}
