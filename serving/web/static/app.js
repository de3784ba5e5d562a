// The page: what is typed is translated, the last answer wins, and a server that is gone is waited for.

import * as alternatives from "./alternatives.js";
import * as api from "./api.js";
import { Output } from "./output.js";
import { memory, start as startTheme } from "./theme.js";
import { language, say, translatePage } from "./words.js";

const TYPING = 250; // milliseconds without a key until a text is sent
const SETTLED = 350; // until more is asked of the one sentence that there is
const POINTED = 120; // until a sentence that is pointed at is looked into
const SLOW = 2500; // until it is said that it takes long
const RETRY = 2000; // between two tries while the server is gone

const $ = (id) => document.getElementById(id);
const source = $("source");
const output = new Output($("output"), $("mirror"), $("link"));
let models = [];
let limit = -1;
let asked = null; // AbortController of the request that counts
let looking = null; // of the details that count
let timers = {};

function later(name, milliseconds, work) {
  clearTimeout(timers[name]);
  timers[name] = setTimeout(work, milliseconds);
}

function banner(message, isBad = false) {
  $("banner").hidden = !message;
  $("banner").textContent = message && say(message);
  $("banner").classList.toggle("bad", isBad);
}

function fields(text) {
  const key = memory.get("key");
  return { model: $("model").value, text, ...(key ? { api_key: key } : {}) };
}

// ---- Models

async function loadModels() {
  models = await api.models();
  const kept = $("model").value || memory.get("model");
  $("model").replaceChildren(...models.map((model) => {
    const pair = model.source === model.name ? model.name : named(model).join(" \u2192 ");
    const twice = models.filter((other) => other.source === model.source && other.target === model.target);
    return new Option(twice.length > 1 ? `${pair} (${model.name})` : pair, model.name);
  }));
  if (models.some((model) => model.name === kept)) $("model").value = kept;
  showModel();
}

// What the visitor calls both languages of a model.
function named(model) {
  if (language === "en") return model.names;
  const names = new Intl.DisplayNames(language, { type: "language" });
  return [model.source, model.target].map((code, place) => {
    try {
      return names.of(code);
    } catch {
      return model.names[place];
    }
  });
}

function current() {
  return models.find((model) => model.name === $("model").value);
}

function reverse() {
  const { source: from, target: to } = current();
  return from === to ? undefined : models.find((model) => model.source === to && model.target === from);
}

function showModel() {
  const model = current();
  const hasLanguages = model.source !== model.name;
  $("source-name").textContent = hasLanguages ? named(model)[0] : say("Text");
  $("target-name").textContent = hasLanguages ? named(model)[1] : say("Translation");
  source.lang = hasLanguages ? model.source : "";
  $("output").lang = hasLanguages ? model.target : "";
  $("swap").hidden = !reverse();
}

// ---- Translation

function typed() {
  $("mirror").textContent = `${source.value}\u200b`; // room for the line that begins
  const count = [...source.value].length;
  const digits = (number) => number.toLocaleString(language);
  $("count").textContent = limit < 0 ? digits(count) : `${digits(count)} / ${digits(limit)}`;
  $("clear").hidden = !source.value;
  $("empty").hidden = Boolean(source.value.trim());
  asked?.abort();
  looking?.abort();
  for (const name of Object.keys(timers)) if (name !== "retry") clearTimeout(timers[name]);
}

async function translate() {
  typed();
  if (!models.length) return; // `begin` comes back to it
  $("details").hidden = true;
  if (!source.value.trim()) {
    output.clear();
    settle("");
    banner("");
    return;
  }
  const request = asked = new AbortController();
  $("output").classList.add("stale");
  $("output").setAttribute("aria-busy", "true");
  $("progress").hidden = false;
  $("status").textContent = say("Translating\u2026");
  later("slow", SLOW, () => { $("status").textContent = say("Still translating\u2026"); });
  try {
    for await (const found of api.translate(fields(source.value), request.signal)) {
      if (request !== asked) return;
      if (found.sentences) {
        output.begin(found);
        $("output").classList.remove("stale");
        continue;
      }
      output.put(found);
      const total = output.sentences.length;
      if (total > 1) $("status").textContent = say(`${output.done} of ${total} sentences`);
      $("copy").hidden = false;
    }
    if (output.done < output.sentences.length) throw new api.Refused("The answer broke off.", 0);
    banner("");
    $("key-form").hidden = true;
    const total = output.sentences.length;
    settle(total > 1 ? `${total} sentences` : "Translated");
    if (total === 1) later("settled", SETTLED, () => look(0));
  } catch (error) {
    if (request !== asked || error.name === "AbortError") return;
    failed(error);
  }
}

function settle(message) {
  clearTimeout(timers.slow);
  $("progress").hidden = true;
  $("output").classList.remove("stale");
  $("output").setAttribute("aria-busy", "false");
  $("status").textContent = message && say(message);
  $("copy").hidden = !output.done;
}

function failed(error) {
  if (!(error instanceof api.Refused)) {
    console.error(error);
    error = new api.Refused("This page has failed; reload it.", 500);
  }
  settle("Not translated");
  if (error.status === 403) $("key-form").hidden = false;
  if (error.passes) {
    banner(`${say(error.message)} ${say("Trying again\u2026")}`);
    later("retry", error.wait ? 1000 * error.wait : RETRY, recover);
  } else {
    banner(error.message, true);
  }
}

async function recover() {
  try {
    if (!models.length) await begin();
    else await translate();
  } catch (error) {
    failed(error);
  }
}

// ---- Details of a sentence

async function look(place) {
  const sentence = output.sentences[place];
  if (!sentence || sentence.text === null) return;
  output.select(place);
  $("details").hidden = false;
  const show = () => {
    alternatives.show($("alternatives"), sentence.details?.alternatives, sentence.text, (text) => {
      output.choose(place, text);
      show();
      $("alternatives").querySelector("[aria-pressed=true]")?.focus();
    });
    const why = sentence.details && (sentence.details.links === null
      ? "Words and attention of this sentence do not fit together." : sentence.details.links.problem);
    if (why) $("link").textContent = say(why);
  };
  show();
  if (sentence.details) return;
  looking?.abort();
  const request = looking = new AbortController();
  try {
    const found = await api.details(fields(sentence.source), request.signal);
    if (request !== looking) return;
    sentence.details = found;
    output.showWords(place);
    if (output.selected === place) show();
  } catch (error) {
    if (error.name === "AbortError" || request !== looking) return;
    alternatives.show($("alternatives"), { problem: error.message }, null, null);
  }
}

function point(event) {
  const place = output.placeOf(event.target);
  if (place < 0) return;
  const word = event.target.closest(".word");
  if (place === output.selected && word) {
    output.mark(Number(word.dataset.word));
  } else if (place !== output.selected || !output.sentences[place].details) {
    later("pointed", event.type === "click" ? 0 : POINTED, () => look(place));
  }
}

function press(event) {
  const steps = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1] }[event.key];
  if (!steps || !output.sentences.length) return;
  event.preventDefault();
  const place = output.selected ?? 0;
  if (steps[0] || output.selected === null) {
    const next = output.selected === null ? 0 : place + steps[0];
    const within = Math.min(output.sentences.length - 1, Math.max(0, next));
    output.select(within);
    output.sentences[within].node.scrollIntoView({ block: "nearest" });
    later("pointed", POINTED, () => look(within));
    return;
  }
  const forward = getComputedStyle(output.sentences[place].node).direction === "rtl" ? -steps[1] : steps[1];
  const { word } = output.sentences[place];
  const next = word === null ? 0 : word + forward;
  if (output.words.length) output.mark(Math.min(output.words.length - 1, Math.max(0, next)));
}

// ---- Buttons

async function copy() {
  const { text } = output;
  try {
    await navigator.clipboard.writeText(text);
    $("status").textContent = say("Copied");
  } catch {
    getSelection().selectAllChildren($("output"));
    $("status").textContent = say("Selected: copy it with your keyboard");
  }
}

function swap() {
  const { name } = reverse();
  const { text } = output;
  $("model").value = name;
  if (text.trim()) source.value = text;
  changed();
}

function changed() {
  memory.set("model", $("model").value);
  output.clear();
  showModel();
  translate();
}

async function begin() {
  const [found] = await Promise.all([api.settings(), loadModels()]);
  limit = found.charLimit;
  $("key-form").hidden = !(found.keyRequired && !memory.get("key"));
  translate();
}

source.addEventListener("input", (event) => {
  typed();
  later("typing", event.inputType === "insertFromPaste" ? 0 : TYPING, translate);
});
source.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) translate();
});
$("model").addEventListener("change", changed);
$("swap").addEventListener("click", swap);
$("copy").addEventListener("click", copy);
$("clear").addEventListener("click", () => {
  source.value = "";
  translate();
  source.focus();
});
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  memory.set("key", $("key").value.trim());
  banner("");
  translate();
});
for (const kind of ["pointerover", "click"]) $("output").addEventListener(kind, point);
$("output").addEventListener("pointerleave", () => output.unmark());
$("output").addEventListener("keydown", press);
$("output").addEventListener("blur", () => output.unmark());
translatePage();
startTheme($("theme"));
begin().catch(failed);
