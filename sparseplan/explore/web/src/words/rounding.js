// Digits as Python writes them: where a number lies halfway between two, JavaScript takes the larger, Python the even.

const MOST_DIGITS = 100; // a number of 53 bits in the sizes that are shown has fewer
const HALF = /^50*$/;

// value.toFixed(digits)
export function fixed(value, digits) {
  const rounded = value.toFixed(digits);
  if (!(Math.abs(value) < 1e15)) return rounded;
  const exact = value.toFixed(MOST_DIGITS);
  const end = exact.length - MOST_DIGITS + digits;
  if (!HALF.test(exact.slice(end))) return rounded;
  const down = exact.slice(0, end).replace(/\.$/, "");
  return isEven(down) ? down : rounded;
}

// value.toExponential(digits)
export function exponential(value, digits) {
  const rounded = value.toExponential(digits);
  const [mantissa, power] = value.toExponential(MOST_DIGITS).split("e");
  const end = mantissa.length - MOST_DIGITS + digits;
  if (!HALF.test(mantissa.slice(end))) return rounded;
  const down = mantissa.slice(0, end).replace(/\.$/, "");
  return isEven(down) ? `${down}e${power}` : rounded;
}

// The number with so many significant digits.
export const significant = (value, digits) => Number(exponential(value, digits - 1));

const isEven = (digits) => "02468".includes(digits.at(-1));
