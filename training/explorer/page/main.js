// What is chosen, and what changes it: tabs, layer and head, way of drawing, the pointer, keys.
import { make, pixels } from "./drawing.js";
import { numbers } from "./grid.js";
import { modesOf, Panel } from "./panel.js";

const TITLES = {
  encoder: "Encoder self-attention",
  decoder: "Decoder self-attention",
  cross: "Cross-attention",
  pooling: "Word attention",
  beams: "Beam search",
};
const NOTES = {
  encoder: "Each position of what is read attends to all of them.",
  decoder: "Each position holds what was written last, and attends to itself and to what came before.",
  cross: "While it writes a piece, the decoder attends to the source.",
  pooling: "How much each piece counts for the answer.",
  beams: "Each column is a step of the search; below a token stands its probability. ● ended, ■ cut, ✕ dropped, … left open.",
};
const MODES = { lines: "Lines", heat: "Heat map", words: "Words", picture: "Picture" };
const HOW = {
  lines: "Left attends to right.",
  heat: "Rows attend to columns.",
  words: "What the piece below the pointer attends to is shaded.",
  picture: "What is looked at stays bright.",
};
const KEYS = { l: "lines", h: "heat", w: "words", p: "picture" };

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const state = { view: null, mode: "lines", layer: null, head: null, focus: null, theme: 0 };

const hooks = {
  isTwo: data.runs.length > 1,
  choose: (layer, head) => change({ layer, head }),
  focus: (panel, focus, isClick) => setFocus(panel, focus, isClick),
  say: (text) => { byId("status").textContent = text; },
};
const panels = data.runs.map((run) => new Panel(run, data.bits, hooks));
const names = Object.keys(TITLES).filter((name) =>
  data.runs.some((run) => (name === "beams" ? run.beams : run.views.some((view) => view.name === name))));

function change(changes) {
  Object.assign(state, changes);
  render();
}

// The first run that has the view says what can be chosen.
function leading() {
  return panels.map((panel) => panel.view(state.view)).find(Boolean);
}

function largest(place) {
  return Math.max(1, ...panels.map((panel) => panel.view(state.view)?.shape[place] ?? 1));
}

function setFocus(panel, focus, isClick = false) {
  const before = state.focus;
  if (isClick && focus) {
    const isSame = before?.isPinned && before.panel === panel && before.side === focus.side && before.index === focus.index;
    state.focus = isSame ? null : { ...focus, panel, isPinned: true };
  } else if (!before?.isPinned) {
    state.focus = focus && { ...focus, panel, isPinned: false };
  }
  if (state.focus) {
    const view = panel.view(state.view);
    state.focus.piece = (state.focus.side === "row" ? view.rows : view.columns)[state.focus.index];
  }
  if (JSON.stringify({ ...before, panel: 0 }) !== JSON.stringify({ ...state.focus, panel: 0 }) || before?.panel !== state.focus?.panel) render();
}

let isWaiting = false;

function render() {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(async () => {
    isWaiting = false;
    renderControls();
    for (const panel of panels) await panel.draw(state);
    const hint = state.view === "beams" ? "Point at a token, or tab to an end." : "Point at a piece, or tab to it.";
    hooks.say(panels.map((panel) => panel.told(state)).join("") || hint);
    document.documentElement.dataset.drawn = state.view;
  });
}

function renderControls() {
  for (const tab of byId("tabs").children) tab.setAttribute("aria-selected", tab.value === state.view);
  byId("controls").hidden = state.view === "beams";
  byId("note").textContent = NOTES[state.view];
  if (state.view === "beams") return;
  const modes = modesOf(leading());
  if (!modes.includes(state.mode)) state.mode = modes[0];
  byId("note").textContent += ` ${HOW[state.mode]}`;
  byId("scale").style.visibility = state.mode === "picture" ? "hidden" : "visible";
  byId("modes").replaceChildren(...modes.map((mode) => make("button", {
    type: "button", textContent: MODES[mode], value: mode, ariaPressed: String(mode === state.mode), onclick: () => change({ mode }),
  })));
  fill(byId("layer"), largest(0), "layer", "mean of all");
  fill(byId("head"), largest(1), "head", state.mode === "lines" && state.layer !== null ? "all, a hue each" : "mean of all");
}

function fill(select, count, name, mean) {
  if (count === 1) state[name] = 0;
  else if (state[name] !== null) state[name] = Math.min(state[name], count - 1);
  const options = numbers(count).map((number) => make("option", {
    value: String(number), textContent: number === null ? mean : number, selected: number === state[name],
  }));
  select.replaceChildren(...options);
  select.disabled = count === 1;
  select.onchange = () => change({ [name]: select.value === "null" ? null : Number(select.value) });
}

function move(name, step) {
  const all = numbers(largest(name === "layer" ? 0 : 1));
  const place = Math.max(0, Math.min(all.length - 1, all.indexOf(state[name]) + step));
  change({ [name]: all[place] });
}

function choose(view) {
  change({ view, focus: null });
}

function start() {
  for (const panel of panels) {
    panel.node.addEventListener("pointerover", (event) => {
      const piece = event.target.closest?.(".piece");
      if (piece) setFocus(panel, { side: piece.dataset.side, index: Number(piece.dataset.index) });
    });
    panel.node.addEventListener("pointerleave", () => setFocus(panel, null));
    panel.node.addEventListener("click", (event) => {
      const piece = event.target.closest?.(".piece");
      if (piece) setFocus(panel, { side: piece.dataset.side, index: Number(piece.dataset.index) }, true);
    });
    panel.node.addEventListener("focusin", (event) => {
      const piece = event.target.closest?.(".piece");
      if (piece) setFocus(panel, { side: piece.dataset.side, index: Number(piece.dataset.index) });
    });
  }
  byId("panels").classList.toggle("two", panels.length > 1);
  byId("panels").append(...panels.map((panel) => panel.node));
  byId("tabs").append(...names.map((name) => make("button", {
    type: "button", role: "tab", value: name, textContent: TITLES[name], onclick: () => choose(name),
  })));
  byId("scale").append("0", make("i"), "1");
  const most = data.bits === 16 ? "0.00002" : "0.004";
  byId("precision").textContent =
    `Weights are kept in this page in ${data.bits} bits: they are at most ${most} off. Layers and heads are counted from 0.`;
  document.addEventListener("keydown", onKey);
  addEventListener("resize", render);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => change({ theme: state.theme + 1 }));
  // An address may say what is shown: page.html#view=encoder&mode=heat&layer=0&head=3.
  const asked = new URLSearchParams(location.hash.slice(1));
  const first = [asked.get("view"), "cross"].find((name) => names.includes(name)) ?? names[0];
  state.layer = panels.map((panel) => panel.view(first)?.shape[0]).find(Boolean) - 1 || 0;
  for (const name of ["layer", "head"]) {
    if (asked.has(name)) state[name] = asked.get(name) === "mean" ? null : Number(asked.get(name)) || 0;
  }
  state.mode = asked.get("mode") ?? state.mode;
  choose(first);
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("select")) return;
  const arrows = { ArrowLeft: ["head", -1], ArrowRight: ["head", 1], ArrowUp: ["layer", -1], ArrowDown: ["layer", 1] };
  const piece = event.target.closest?.(".piece");
  if (event.key in arrows && state.view !== "beams") move(...arrows[event.key]);
  else if (names[Number(event.key) - 1]) choose(names[Number(event.key) - 1]);
  else if (event.key in KEYS && modesOf(leading()).includes(KEYS[event.key])) change({ mode: KEYS[event.key] });
  else if (event.key === "Escape") change({ focus: null });
  else if (event.key === "Enter" && piece) piece.click();
  else return;
  event.preventDefault();
}

start();
