// Buttons that copy the text of an element.

import { byId } from "./dom.js";

const SHOWN_MS = 1500;

export function copies(button, source) {
  const words = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = (await copied(byId(source))) ? "Copied" : "Selected: copy it with your keyboard";
    setTimeout(() => {
      button.textContent = words;
    }, SHOWN_MS);
  });
}

// Where the browser gives a page no clipboard, the text is selected instead.
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return false;
  }
}
