// The colours of sparsities, those of all of sparseplan's pictures: sparseplan/figures/palette.py.

const FADE = 0.6;

const rgb = (color) => [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));

export function mixed(one, other, share) {
  const [a, b] = [rgb(one), rgb(other)];
  return `#${a
    .map((value, i) =>
      Math.round(value + (b[i] - value) * share)
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}

export function sparsityColor({ dense, ramp, halvings }, S) {
  if (!(S > 0)) return dense;
  const at = Math.min(-Math.log2(Math.max(1 - S, 1e-12)) / halvings, 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  return mixed(ramp[low], ramp[low + 1], at - low);
}

export const faded = (color, background) => mixed(color, background, FADE);
