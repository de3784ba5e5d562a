// Other translations of a sentence, with their scores.

import { say } from "./words.js";

export function show(box, found, chosen, choose) {
  box.replaceChildren();
  if (found?.problem) {
    const line = document.createElement("p");
    line.className = "quiet";
    line.textContent = say(found.problem);
    box.append(line);
    return;
  }
  if (!found) return;
  const list = document.createElement("ol");
  list.setAttribute("aria-label", say("Translations and their log-probabilities"));
  for (const { text, score } of found) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", text === chosen);
    const words = document.createElement("span");
    words.dir = "auto";
    words.textContent = text;
    const figure = document.createElement("span");
    figure.className = "quiet score";
    figure.dir = "ltr"; // else the minus would stand behind the number
    figure.title = say("log-probability");
    figure.textContent = score.toFixed(2).replace("-", "\u2212");
    const bar = document.createElement("span");
    bar.className = "bar";
    // As likely as the best is the whole length.
    bar.style.setProperty("--likely", `${100 * Math.exp(Math.min(0, score - found[0].score))}%`);
    button.append(words, bar, figure);
    button.addEventListener("click", () => choose(text));
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
  box.append(list);
}
