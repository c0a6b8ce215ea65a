// What a pruning schedule does to the cost of training: sparseplan/sparsity/schedule.py.

const EXPONENTS = { cubic: 3, linear: 1, "straight-through": 1 };
const ONE_SHOT = 1e-9;
const SHARE_OF_A_ROUND = 0.2;

// kappa of the mean density rho(S) = 1 - kappa S; null where it is not of that kind.
export function savingOf({ kind, start, end, zeros_save }) {
  if (kind === "rewinding" || (kind === "geometric" && end - start > ONE_SHOT)) return null;
  const exponent = EXPONENTS[kind] ?? 1;
  return zeros_save * (((end - start) * exponent) / (exponent + 1) + (1 - end));
}

// rho(S), FLOPs per dense FLOP where zeros cost nothing.
export function meanDensity(schedule, S) {
  const { kind, start, end, zeros_save } = schedule;
  const saving = savingOf(schedule);
  if (saving !== null) return 1 - saving * S;
  if (S === 0) return 1;
  if (kind === "rewinding") {
    const left = Math.exp(Math.log1p(-S) / Math.max(rounds(schedule, S), 1));
    return 1 + ((1 - start) * left * S) / (1 - left);
  }
  const mean = start + ((end - start) * S) / -Math.log1p(-S) + (1 - end) * (1 - S);
  return 1 - zeros_save * (1 - mean);
}

// How often a training goes back; 0 without rewinding.
export function rounds({ kind, share }, S) {
  if (kind !== "rewinding" || S === 0) return 0;
  return Math.max(Math.round(Math.log1p(-S) / Math.log1p(-(share ?? SHARE_OF_A_ROUND))), 1);
}

// Updates of the whole training, per update that the final model has behind it.
export function length(schedule, S) {
  return 1 + (1 - schedule.start) * rounds(schedule, S);
}

// The part of `length` that is trained with the final mask.
export function settled(schedule, S) {
  if (schedule.kind === "rewinding") return rounds(schedule, S) > 0 ? 1 - schedule.start : 0;
  return 1 - schedule.end;
}
