// Numbers as people write them, in and out: sparseplan/common/units.py.

import { exponential, fixed, significant } from "./rounding.js";

const FACTORS = { "": 1, k: 1e3, m: 1e6, b: 1e9, g: 1e9, t: 1e12, p: 1e15 };
const SUFFIXES = [
  ["T", 1e12],
  ["B", 1e9],
  ["M", 1e6],
  ["k", 1e3],
];
const NUMBER = /^([+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*([kmbgtp]?)$/i;

// A number above 0 such as 7B, 1.5T or 1e23; NaN for anything else.
export function parsePositive(text) {
  const found = text.length <= 100 ? NUMBER.exec(text.trim()) : null;
  if (found === null) return NaN;
  const value = Number(found[1].replaceAll("_", "")) * FACTORS[found[2].toLowerCase()];
  return value > 0 && Number.isFinite(value) ? value : NaN;
}

export function formatCount(value) {
  if (!Number.isFinite(value)) return "inf";
  const rounded = significant(value, 3);
  if (rounded < 1e3) return String(rounded);
  if (rounded >= 1e15) return formatScientific(value);
  for (const [suffix, factor] of SUFFIXES) {
    if (rounded >= factor) {
      const scaled = rounded / factor;
      return fixed(scaled, 2 - Math.floor(Math.log10(scaled))) + suffix;
    }
  }
  return "";
}

export function formatScientific(value, digits = 3) {
  if (!Number.isFinite(value)) return "inf";
  const [mantissa, exponent] = exponential(value, digits - 1).split("e");
  const short = mantissa.includes(".") ? mantissa.replace(/0+$/, "").replace(/\.$/, "") : mantissa;
  return `${short}e${Number(exponent)}`;
}

export function formatPercent(fraction) {
  return `${fixed(100 * fraction, 1).replace(/\.0$/, "")}%`;
}

export function formatSparsity(value) {
  return value < 0.9995 ? formatPercent(value) : `${significant(100 * value, 12)}%`;
}

export function formatLoss(value) {
  return Number.isFinite(value) ? fixed(value, 4) : "none";
}

export function formatDifference(nats) {
  return nats === 0 || Math.abs(nats) >= 5e-5 ? fixed(nats, 4) : formatScientific(nats);
}

export function formatRegret(nats) {
  if (nats === 0) return "0";
  return nats >= 5e-4 ? fixed(nats, 3) : "under 0.0005";
}

export function formatBounds([low, high], write) {
  const [a, b] = [write(low), write(high)];
  return a === b ? a : `${a} .. ${b}`;
}

export function formatRatio(ratio) {
  return ratio >= 1e-3 && ratio < 999.5 ? `${significant(ratio, 3)}x` : `${formatScientific(ratio)}x`;
}

// What fields, commands and links carry: six digits, more than tell a value from its neighbours on a slider; 7B, 1e23.
export function formatExact(value) {
  const rounded = significant(value, 6);
  const [suffix, factor] = SUFFIXES.find((pair) => rounded >= pair[1]) ?? ["", 1];
  if (rounded >= 1e15) return formatScientific(value, 6);
  return `${significant(rounded / factor, 6)}${suffix}`;
}
