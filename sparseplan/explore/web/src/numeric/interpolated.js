// Straight lines between points with ascending places, constant beyond the outermost: np.interp.

export function interpolated(places, values, x) {
  const i = places.findIndex((place) => place >= x);
  if (i === 0) return values[0];
  if (i < 0) return values[values.length - 1];
  const share = (x - places[i - 1]) / (places[i] - places[i - 1]);
  return values[i - 1] + share * (values[i] - values[i - 1]);
}
