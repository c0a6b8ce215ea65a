// A quantity on a logarithmic slider with a text field beside it; optional ones have a box to tick.

import { formatExact, parsePositive } from "../words/numbers.js";
import { element } from "./dom.js";

const STEP = 0.01;

// A slider's value, to three digits: what is shown is what is asked.
const rounded = (x) => Number((10 ** x).toPrecision(3));

// `changed(value)` hears of new values; null where the box is not ticked.
export function quantity({ id, label, unit, optional, start, changed }) {
  let [low, high] = [1, 10];
  let value = optional ? null : start;
  const box = element("input", { type: "checkbox", id: `${id}-on`, onchange: toggle });
  const name = element("label", { for: optional ? `${id}-on` : id }, label);
  const text = element("input", {
    type: "text",
    id,
    inputmode: "text",
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": `${label}, ${unit}`,
    "aria-describedby": `${id}-problem`,
    onchange: typed,
  });
  const slider = element("input", {
    type: "range",
    id: `${id}-slider`,
    step: STEP,
    "aria-label": `${label}, logarithmic slider`,
    oninput: () => give(rounded(Number(slider.value))),
  });
  const problem = element("p", { id: `${id}-problem`, class: "problem", role: "status" });
  const suffix = element("span", { class: "unit" }, unit);
  const field = element(
    "div",
    { class: "quantity" },
    element(
      "div",
      { class: "head" },
      ...(optional ? [box] : []),
      name,
      element("span", { class: "value" }, text, suffix),
    ),
    slider,
    problem,
  );

  function toggle() {
    give(box.checked ? rounded(Math.log10(Math.sqrt(low * high))) : null);
  }

  function typed() {
    const found = parsePositive(text.value);
    if (Number.isNaN(found)) {
      problem.textContent = "expected a number above 0, such as 7B, 300M or 1e23";
      text.setAttribute("aria-invalid", "true");
      return;
    }
    give(found);
  }

  function give(found) {
    show(found);
    changed(found);
  }

  function show(found) {
    value = found;
    const on = value !== null;
    box.checked = on;
    text.disabled = slider.disabled = !on;
    text.value = on ? formatExact(value) : "";
    text.removeAttribute("aria-invalid");
    problem.textContent = "";
    if (on) {
      slider.value = Math.log10(value);
      slider.setAttribute("aria-valuetext", `${formatExact(value)} ${unit}`);
    }
  }

  return {
    field,
    show,
    // New ends of the slider, and a new unit.
    between(ends, words = unit) {
      [low, high] = ends;
      slider.min = Math.log10(low).toFixed(2);
      slider.max = Math.log10(high).toFixed(2);
      suffix.textContent = words;
      text.setAttribute("aria-label", `${label}, ${words}`);
      show(value);
    },
  };
}
