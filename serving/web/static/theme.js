// Light, dark, or as the system has it; remembered where the browser allows that.

const ORDER = ["system", "light", "dark"];

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
    button?.setAttribute("aria-label", `Colours: ${theme === "system" ? "as the system" : theme}`);
  };
  button?.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    memory.set("theme", theme);
    show();
  });
  show();
}
