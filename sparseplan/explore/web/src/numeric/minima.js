// Where a smooth function is lowest in [low, high]: the best point of a grid, then Brent's method around it
// (Press et al. 2007, Numerical Recipes, section 10.3), as sparseplan/laws/forms/minima.py.

const GOLDEN = 0.381966;
const MAX_STEPS = 80;
const PRECISION = 1e-9;
const PROBE = 1e-6;

export function smoothMinimum(f, low, high, points) {
  const at = (x) => {
    const value = f(x);
    return Number.isNaN(value) ? Infinity : value;
  };
  const step = (high - low) / (points - 1);
  const grid = Array.from({ length: points }, (_, i) => (i === points - 1 ? high : low + i * step));
  let best = 0;
  const values = grid.map(at);
  values.forEach((value, i) => {
    if (value < values[best]) best = i;
  });
  let a = grid[Math.max(best - 1, 0)];
  let b = grid[Math.min(best + 1, points - 1)];
  let x = grid[best];
  let fx = values[best];
  if (best === 0 || best === points - 1) {
    const probe = x + PROBE * (best === 0 ? b - x : a - x);
    if (!(at(probe) < fx)) return x;
    x = probe;
    fx = at(probe);
  }
  let w = x;
  let v = x;
  let fw = fx;
  let fv = fx;
  let d = 0;
  let e = 0;
  for (let i = 0; i < MAX_STEPS; i++) {
    const middle = 0.5 * (a + b);
    if (Math.abs(x - middle) <= 2 * PRECISION - 0.5 * (b - a)) break;
    let golden = true;
    if (Math.abs(e) > PRECISION) {
      const r = (x - w) * (fx - fv);
      let q = (x - v) * (fx - fw);
      let p = (x - v) * q - (x - w) * r;
      q = 2 * (q - r);
      if (q > 0) p = -p;
      q = Math.abs(q);
      const last = e;
      e = d;
      if (Math.abs(p) < Math.abs(0.5 * q * last) && p > q * (a - x) && p < q * (b - x)) {
        d = p / q;
        golden = false;
      }
    }
    if (golden) {
      e = (x >= middle ? a : b) - x;
      d = GOLDEN * e;
    }
    const u = Math.abs(d) >= PRECISION ? x + d : x + Math.sign(d || 1) * PRECISION;
    const fu = at(u);
    if (fu <= fx) {
      if (u >= x) a = x;
      else b = x;
      [v, fv, w, fw, x, fx] = [w, fw, x, fx, u, fu];
    } else {
      if (u < x) a = u;
      else b = u;
      if (fu <= fw || w === x) [v, fv, w, fw] = [w, fw, u, fu];
      else if (fu <= fv || v === x || v === w) [v, fv] = [u, fu];
    }
  }
  return x;
}
