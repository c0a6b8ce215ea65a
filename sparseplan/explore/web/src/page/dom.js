// Elements from words and other elements. Text is only ever set as text: what a law's file says can't become markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);

export function showText(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}
