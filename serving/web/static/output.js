// The translation, sentence by sentence, and which words it comes from.

// Weaker links than this part of a word's strongest are not shown.
const FAINT = 0.15;

export class Output {
  // box: where the translation stands. mirror: the copy below the text. said: where links are told in words.
  constructor(box, mirror, said) {
    Object.assign(this, { box, mirror, said });
    this.clear();
  }

  clear() {
    this.before = "";
    this.sentences = []; // {source, after, gap, text, node, details, word}
    this.selected = null;
    this.box.replaceChildren();
    this.box.removeAttribute("aria-activedescendant");
    this.unmark();
  }

  // New sentences; those that were translated already stay translated.
  begin({ before, sentences }) {
    const known = new Map(this.sentences.map((old) => [old.source, old]));
    this.clear();
    this.before = before;
    this.box.append(before);
    sentences.forEach(([source, after], place) => {
      const node = document.createElement("span");
      node.className = "sentence waiting";
      node.id = `sentence-${place}`;
      node.setAttribute("role", "option");
      node.setAttribute("aria-selected", "false");
      node.textContent = known.get(source)?.text ?? source;
      const gap = document.createTextNode(after);
      this.box.append(node, gap);
      this.sentences.push({ source, after, gap, text: null, node, details: null, word: null });
    });
  }

  put({ place, translation, gap }) {
    const sentence = this.sentences[place];
    sentence.text = translation;
    sentence.gap.data = gap;
    sentence.node.classList.remove("waiting");
    sentence.node.textContent = translation;
  }

  get done() {
    return this.sentences.filter((sentence) => sentence.text !== null).length;
  }

  get text() {
    return this.before + this.sentences.map((each) => (each.text ?? "") + each.gap.data).join("");
  }

  placeOf(node) {
    const found = node.closest?.(".sentence");
    return found ? this.sentences.findIndex((sentence) => sentence.node === found) : -1;
  }

  select(place) {
    if (this.selected === place) return;
    this.unmark();
    this.sentences[this.selected]?.node.setAttribute("aria-selected", "false");
    this.selected = place;
    const node = this.sentences[place].node;
    node.setAttribute("aria-selected", "true");
    this.box.setAttribute("aria-activedescendant", node.id);
  }

  // Another translation of a sentence; its words are not linked.
  choose(place, text) {
    const sentence = this.sentences[place];
    sentence.text = text;
    this.unmark();
    this.showWords(place);
  }

  showWords(place) {
    const { node, details, text } = this.sentences[place];
    const links = details?.links;
    node.replaceChildren();
    if (!links?.target || links.target.map(([part]) => part).join("") !== text) {
      node.textContent = text;
      return;
    }
    for (const [part, word] of links.target) {
      if (word === null) {
        node.append(part);
        continue;
      }
      const span = document.createElement("span");
      span.className = "word";
      span.dataset.word = word;
      span.textContent = part;
      node.append(span);
    }
  }

  get words() {
    return [...(this.sentences[this.selected]?.node.querySelectorAll(".word") ?? [])];
  }

  // Marks a word of the selected sentence, and the words that it comes from.
  mark(word) {
    this.unmark();
    const sentence = this.sentences[this.selected];
    const span = this.words[word];
    if (!span) return;
    sentence.word = word;
    span.classList.add("at");
    const { source, weights } = sentence.details.links;
    const line = weights[word];
    const most = Math.max(...line);
    const opacity = (number) => (most > 0 && line[number] / most >= FAINT ? line[number] / most : 0);
    span.style.setProperty("--weight", 0.55);
    this.mirror.replaceChildren(this.sourceBefore(this.selected));
    for (const [part, number] of source) {
      if (number === null) {
        this.mirror.append(part);
        continue;
      }
      const mark = document.createElement("mark");
      mark.textContent = part;
      mark.style.setProperty("--weight", 0.7 * opacity(number));
      this.mirror.append(mark);
    }
    this.mirror.append(this.sourceAfter(this.selected));
    const strongest = source.filter(([, number]) => number !== null && opacity(number) > 0)
      .sort((a, b) => line[b[1]] - line[a[1]]).slice(0, 3)
      .flatMap(([part, number]) => [", ", isolated(part), ` (${Math.round(100 * line[number])}\u00a0%)`]);
    this.said.replaceChildren(isolated(span.textContent), " \u2190 ", ...strongest.slice(1));
  }

  unmark() {
    const sentence = this.sentences?.[this.selected];
    if (sentence) sentence.word = null;
    for (const span of this.box.querySelectorAll(".word.at")) {
      span.classList.remove("at");
      span.style.removeProperty("--weight");
    }
    for (const mark of this.mirror.querySelectorAll("mark")) mark.replaceWith(mark.textContent);
    this.said.textContent = "";
  }

  // The text before and after a sentence; the last line end makes room for the cursor.
  sourceBefore(place) {
    return this.before + this.sentences.slice(0, place).map((each) => each.source + each.after).join("");
  }

  sourceAfter(place) {
    const rest = this.sentences.slice(place + 1).map((each) => each.source + each.after).join("");
    return `${this.sentences[place].after}${rest}\u200b`;
  }
}

// Text that may run in the other direction than what stands around it.
function isolated(text) {
  const node = document.createElement("bdi");
  node.textContent = text;
  return node;
}
