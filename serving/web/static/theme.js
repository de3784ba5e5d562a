// Light, dark, or as the system has it; remembered where the browser allows that.

import { say } from "./words.js";

const SAID = { system: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" };
const ORDER = Object.keys(SAID);

export const memory = {
  get(name) {
    try {
      return localStorage.getItem(name);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(name, value);
    } catch { /* It is forgotten with the page. */ }
  },
};

export function start(button) {
  let theme = memory.get("theme") ?? ORDER[0];
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button?.setAttribute("aria-label", say(SAID[theme]));
  };
  button?.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    memory.set("theme", theme);
    show();
  });
  show();
}
