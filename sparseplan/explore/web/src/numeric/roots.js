// Where a rising function crosses zero in [low, high]; at the nearer end where it doesn't. Newton's method with a
// bracket around it, as sparseplan/laws/forms/roots.py. `both` maps x to [value, slope].

const MAX_STEPS = 200;
const TOLERANCE = 1e-10;
const NEAR = 1e-3;
const SLOPE_STEP = 1e-6;

export function risingRoot(both, start, low, high) {
  if (both(low)[0] >= 0) return low;
  if (both(high)[0] <= 0) return high;
  let lower = low;
  let upper = high;
  let x = Math.min(Math.max(Number.isFinite(start) ? start : 0, low), high);
  let before = upper - lower;
  let beforeLast = Infinity;
  for (let step = 0; step < MAX_STEPS; step++) {
    const [value, slope] = both(x);
    if (value < 0) lower = x;
    else upper = x;
    const newton = x - value / slope;
    const width = upper - lower;
    const near = Math.abs(newton - x) <= NEAR && step < MAX_STEPS / 2;
    const steady = newton >= lower && newton <= upper && (near || width <= 0.5 * beforeLast);
    const following = steady ? newton : 0.5 * (lower + upper);
    const done = Math.min(Math.abs(following - x), width) <= TOLERANCE;
    x = following;
    beforeLast = before;
    before = width;
    if (done) break;
  }
  return x;
}

// A function of x with its slope by a forward difference, as `risingRoot` takes it.
export function withSlope(f) {
  return (x) => {
    const value = f(x);
    const slope = (f(x + SLOPE_STEP) - value) / SLOPE_STEP;
    return [value, Number.isFinite(slope) ? slope : NaN];
  };
}
