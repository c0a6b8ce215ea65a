// Long work in short slices, so that a slider never waits for it.

const SLICE_MS = 10;

// Runs a generator to its end and hands its result on; returns a function that stops it.
export function inSlices(steps, done) {
  let stopped = false;
  const go = () => {
    if (stopped) return;
    const until = performance.now() + SLICE_MS;
    while (performance.now() < until) {
      const next = steps.next();
      if (next.done) {
        done(next.value);
        return;
      }
    }
    setTimeout(go, 0);
  };
  setTimeout(go, 0);
  return () => {
    stopped = true;
  };
}
