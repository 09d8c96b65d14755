/**
 * The mixture sliders. Weights are whole units (Python's UNIT of them make 100 %), so the sum is exact.
 *
 * The browser owns the values between two revisions and tells Python only when the user lets go; a new
 * revision means that Python has set the values itself and the browser takes them over. Every text from
 * Python is set with textContent or setAttribute: domain names are the user's and may hold any character.
 */
const SVG = "http://www.w3.org/2000/svg";
const STEP = 10; // 0.1 %
const BIG_STEP = 100; // 1 %

// Streamlit calls the default export again on every data or theme change with the same parentElement.
const INSTANCES = new WeakMap();

/** An element with a class and attributes, appended to `parent`. */
function make(tag, className, parent, attributes = {}) {
  const element = document.createElement(tag);
  element.className = className;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

/** A padlock whose shackle CSS opens or closes; drawn because fonts may lack the glyph. */
function padlock() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  for (const [className, d] of [
    ["shackle closed", "M5 7.5V5a3 3 0 0 1 6 0v2.5"],
    ["shackle open", "M5 7.5V4.2a3 3 0 0 1 5.8-1"],
    ["body", "M4.2 7.5h7.6a1 1 0 0 1 1 1v4.3a1 1 0 0 1-1 1H4.2a1 1 0 0 1-1-1V8.5a1 1 0 0 1 1-1z"],
  ]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", className);
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

const sum = (keys, values) => keys.reduce((total, key) => total + values.get(key), 0);

/** Set a text only when it differs, so that nothing is redrawn or read out twice. */
function setText(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** A typographic minus before a digit lines up with the plus; a hyphen does not. */
const withMinus = (text) => text.replace(/(^|[\s(])-(?=[\d.])/g, "$1\u2212");

/** Whole units as a percentage with two decimals; a percent is `unit / 100` units. */
const percent = (units, unit) => ((units / unit) * 100).toFixed(2);

/** How often a domain is read, as short as it can be said. */
const epochsText = (epochs) => `${epochs < 9.95 ? epochs.toFixed(epochs < 0.095 ? 2 : 1) : Math.round(epochs)} epochs`;

/** Where a weight may lie and which constraints end that, in words. */
function allowedText(item, unit) {
  if (item.lowest <= 0 && item.highest >= unit) return "";
  const ends = [
    item.lowest_because && `Not below: ${item.lowest_because}.`,
    item.highest_because && `Not above: ${item.highest_because}.`,
  ].filter(Boolean);
  return [`Allowed: ${percent(item.lowest, unit)} to ${percent(item.highest, unit)} %.`, ...new Set(ends)].join(" ");
}

/** Share `total` units among `keys` in proportion to `shares`: largest remainder, so the sum is exact. */
function spread(total, keys, shares) {
  const whole = sum(keys, shares);
  const parts = keys.map((key) => {
    const exact = (total * shares.get(key)) / whole;
    return { key, units: Math.floor(exact), rest: exact - Math.floor(exact) };
  });
  let left = total - parts.reduce((got, part) => got + part.units, 0);
  for (const part of [...parts].sort((a, b) => b.rest - a.rest)) {
    if (left <= 0) break;
    part.units += 1;
    left -= 1;
  }
  return parts.map((part) => [part.key, part.units]);
}

/** Units for what the user typed ("12.5", "12,5", ".5 %"), or null for anything but 0 to 100. */
function parsePercent(text, unit) {
  const match = /^\s*(\d+(?:[.,]\d*)?|[.,]\d+)\s*%?\s*$/.exec(text);
  if (!match) return null;
  const value = Number(match[1].replace(",", "."));
  return value <= 100 ? Math.round((value / 100) * unit) : null;
}

class Sliders {
  constructor() {
    this.revision = null;
    this.domains = [];
    this.units = new Map();
    this.reference = new Map();
    this.locked = new Set();
    this.rows = new Map();
    this.gesture = null; // {domain, base}: the weights when this drag, or this run of key presses, began
    this.editing = null; // the domain whose number is half typed
    this.released = ""; // what Python last knew
  }

  /** Take what a rerun brings: always texts and marks, values only with a new revision or other domains. */
  update(root, data, setStateValue) {
    this.data = data;
    this.setStateValue = setStateValue;
    const domains = data.rows.map((row) => row.domain);
    const others = domains.length !== this.domains.length || domains.some((d, i) => d !== this.domains[i]);
    this.domains = domains;
    this.reference = new Map(data.rows.map((row) => [row.domain, row.reference_units]));
    if (others || this.revision !== data.revision) {
      this.revision = data.revision;
      this.units = new Map(data.rows.map((row) => [row.domain, row.units]));
      this.locked = new Set(data.rows.filter((row) => row.locked).map((row) => row.domain));
      this.gesture = this.editing = null;
      this.scale = 0;
      this.released = this.payloadText();
      this.notice = "";
    }
    if (!this.gesture) this.scale = data.top;
    const box = root.querySelector(".sliders");
    if (others || box !== this.box) this.build(box);
    this.label();
    this.paint();
  }

  // ---- values

  payload() {
    return {
      revision: this.revision,
      units: Object.fromEntries(this.units),
      locked: this.domains.filter((d) => this.locked.has(d)),
    };
  }

  payloadText() {
    return JSON.stringify(this.payload());
  }

  /** Tell Python, once, what the user has settled on. */
  release() {
    const text = this.payloadText();
    if (text === this.released) return;
    this.released = text;
    this.setStateValue("value", this.payload());
  }

  /** The weights that the unlocked others keep their proportions to while `domain` moves. */
  baseFor(domain) {
    if (this.gesture?.domain !== domain) this.gesture = { domain, base: new Map(this.units) };
    return this.gesture.base;
  }

  /** Proportions to share by: `base`, or the reference, or equal parts where the former are all zero. */
  shares(keys, base) {
    for (const candidate of [base, this.reference]) if (sum(keys, candidate) > 0) return candidate;
    return new Map(keys.map((key) => [key, 1]));
  }

  /** Set `domain` to `wanted` units; the unlocked others take or give the difference in proportion. */
  move(domain, wanted) {
    const base = this.baseFor(domain);
    const rest = this.domains.filter((d) => d !== domain);
    const free = rest.filter((d) => !this.locked.has(d));
    const held = sum(rest.filter((d) => this.locked.has(d)), this.units);
    const most = this.data.unit - held;
    this.notice = "";
    if (!free.length) {
      this.notice = rest.length
        ? `${domain} cannot move: every other domain is locked.`
        : `${domain} is the only domain and has all the weight.`;
    } else {
      const value = Math.max(0, Math.min(wanted, most));
      if (wanted > most) {
        this.notice =
          `${domain} stops at ${percent(most, this.data.unit)} %: ` +
          `the locked domains hold ${percent(held, this.data.unit)} %.`;
      }
      this.units.set(domain, value);
      for (const [d, u] of spread(most - value, free, this.shares(free, base))) this.units.set(d, u);
    }
    this.paint();
  }

  /** The reference; locked domains keep their weight and the others share the rest as the reference does. */
  reset() {
    this.gesture = null;
    const free = this.domains.filter((d) => !this.locked.has(d));
    const kept = this.domains.filter((d) => this.locked.has(d));
    const rest = this.data.unit - sum(kept, this.units);
    for (const [d, u] of spread(rest, free, this.shares(free, this.reference))) this.units.set(d, u);
    this.notice = kept.some((d) => this.units.get(d) !== this.reference.get(d))
      ? "Locked domains kept their weight; the others share the rest as in the reference."
      : "";
    this.paint();
    this.release();
  }

  /** Read a typed percentage; anything else restores the weight and says so. */
  enter(domain, text) {
    this.editing = null;
    this.gesture = null;
    const units = parsePercent(text, this.data.unit);
    if (units === null) {
      const shown = text.length > 24 ? `${text.slice(0, 24)}…` : text;
      this.notice =
        `“${shown}” is not a percentage from 0 to 100; ` +
        `${domain} stays at ${percent(this.units.get(domain), this.data.unit)} %.`;
      this.paint();
      return;
    }
    this.move(domain, units);
    this.gesture = null;
    this.release();
  }

  // ---- the page

  build(box) {
    this.box = box;
    const body = box.querySelector(".rows");
    body.replaceChildren();
    this.rows = new Map(this.domains.map((domain) => [domain, this.buildRow(domain, body)]));
    this.scaleLine = box.querySelector(".scale");
    this.sumLine = box.querySelector(".sum");
    this.message = box.querySelector(".message");
    this.resetButton = box.querySelector(".reset");
    this.resetButton.onclick = () => this.reset();
    this.resetButton.onkeydown = keepButtonKeys;
  }

  buildRow(domain, body) {
    const row = make("div", "row", body, { role: "row" });
    const head = make("div", "name", row, { role: "rowheader" });
    const name = make("span", "domain", head, { title: domain });
    name.textContent = domain;
    const note = make("span", "small", head);

    const track = make("div", "track", row, { role: "cell" });
    const range = make("input", "range", track, {
      type: "range", min: 0, max: this.data.unit, step: 1, "aria-label": `Weight of ${domain}`,
    });
    const mark = make("span", "mark", track);
    const allowed = make("span", "allowed", track, { "aria-hidden": "true" });
    const hint = make("span", "hint", track, { "aria-hidden": "true" });

    const entry = make("div", "entry", row, { role: "cell" });
    const number = make("input", "number", entry, {
      type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": `${domain} percent`,
    });
    const lock = make("button", "lock", entry, { type: "button", "aria-label": `Lock ${domain}` });
    lock.append(padlock());

    const delta = make("div", "delta", row, { role: "cell" });
    const effectCell = make("div", "effect", row, { role: "cell" });
    const headline = make("span", "headline", effectCell);
    const tone = make("span", "tone", headline);
    const effect = make("span", "value", headline);
    const interval = make("span", "small", effectCell);

    range.oninput = () => this.move(domain, Number(range.value));
    range.onchange = () => {
      this.gesture = null;
      this.release();
    };
    range.onpointerdown = () => (this.gesture = null);
    range.onkeydown = (event) => this.key(event, domain);
    range.onkeyup = () => this.release();
    range.onblur = () => {
      this.gesture = null;
      this.release();
    };

    number.oninput = () => (this.editing = domain);
    number.onchange = () => this.enter(domain, number.value);
    number.onblur = () => {
      if (this.editing === domain) this.editing = null;
      this.paint();
    };
    number.onkeydown = (event) => {
      event.stopPropagation(); // every letter typed here would otherwise reach Streamlit's shortcuts
      if (event.key === "Escape") {
        this.editing = null;
        this.paint();
        number.select();
      }
    };

    lock.onclick = () => {
      this.gesture = null;
      this.notice = "";
      if (!this.locked.delete(domain)) this.locked.add(domain);
      this.paint();
      this.release();
    };
    lock.onkeydown = keepButtonKeys;
    return { row, note, range, mark, allowed, hint, number, lock, delta, effectCell, effect, tone, interval };
  }

  /** Keys on a slider; Python hears of them when the key is let go, so a held key is one rerun. */
  key(event, domain) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = event.shiftKey ? BIG_STEP : STEP;
    const now = this.units.get(domain);
    const target = {
      ArrowRight: now + arrow, ArrowUp: now + arrow, ArrowLeft: now - arrow, ArrowDown: now - arrow,
      PageUp: now + BIG_STEP, PageDown: now - BIG_STEP, Home: 0, End: this.most(domain),
    }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    this.move(domain, target);
  }

  /** The largest weight that the locked others leave to `domain`. */
  most(domain) {
    return this.data.unit - sum(this.domains.filter((d) => d !== domain && this.locked.has(d)), this.units);
  }

  /** Texts and marks that Python may change on any rerun. */
  label() {
    const { unit } = this.data;
    for (const item of this.data.rows) {
      const row = this.rows.get(item.domain);
      if (item.epochs === null) setText(row.note, item.note);
      const said = allowedText(item, unit);
      setText(row.hint, said);
      row.allowed.hidden = row.hint.hidden = !said;
      if (said) row.range.setAttribute("aria-description", said);
      else row.range.removeAttribute("aria-description");
      setText(row.effect, withMinus(item.effect));
      setText(row.interval, withMinus(item.interval));
      setText(row.tone, item.effect ? item.tone : "");
      row.effectCell.dataset.tone = item.tone;
      row.mark.title = `Reference: ${percent(item.reference_units, unit)} %`;
    }
  }

  /** Units at the right end of every track: as wide as Python asks, and wider once a weight needs it. */
  rescale() {
    const most = Math.max(...this.units.values());
    if (most > this.scale) this.scale = Math.min(this.data.unit, Math.ceil(most / 1000) * 1000);
    setText(this.scaleLine, this.scale < this.data.unit ? `, 0 to ${(this.scale / this.data.unit) * 100} %` : "");
    return this.scale;
  }

  /** Values; safe to call at any time, also while a slider is held or a number is half typed. */
  paint() {
    const { unit } = this.data;
    const top = this.rescale();
    let total = 0;
    let moved = false;
    for (const { domain, epochs, lowest, highest, reference_units: mark } of this.data.rows) {
      const row = this.rows.get(domain);
      const units = this.units.get(domain);
      const change = units - this.reference.get(domain);
      const locked = this.locked.has(domain);
      total += units;
      moved ||= change !== 0;
      row.range.max = top;
      row.range.value = units;
      row.range.style.setProperty("--at", units / top);
      row.mark.style.setProperty("--at", mark / top);
      row.allowed.style.setProperty("--from", Math.min(lowest, top) / top);
      row.allowed.style.setProperty("--to", Math.min(highest, top) / top);
      row.range.setAttribute("aria-valuetext", `${percent(units, unit)} %`);
      if (this.editing !== domain) row.number.value = percent(units, unit);
      row.range.disabled = row.number.disabled = locked;
      row.lock.setAttribute("aria-pressed", String(locked));
      row.lock.title = locked ? "Locked: does not move with the others" : "Keep this weight while others move";
      row.row.classList.toggle("locked", locked);
      row.row.classList.toggle("outside", units < lowest || units > highest);
      if (epochs !== null) setText(row.note, epochsText((epochs * units) / unit));
      row.delta.classList.toggle("same", change === 0);
      const sign = change > 0 ? "+" : "\u2212";
      setText(row.delta, change === 0 ? "\u2013" : `${sign}${percent(Math.abs(change), unit)} pp`);
    }
    setText(this.sumLine, `${percent(total, unit)} %`);
    setText(this.message, this.notice);
    this.resetButton.disabled = !moved;
  }
}

/** Enter and Space press a button; Streamlit's shortcuts need not see them. */
function keepButtonKeys(event) {
  if (event.key === "Enter" || event.key === " ") event.stopPropagation();
}

export default function ({ parentElement, data, setStateValue }) {
  let sliders = INSTANCES.get(parentElement);
  if (!sliders) INSTANCES.set(parentElement, (sliders = new Sliders()));
  sliders.update(parentElement, data, setStateValue);
  // No cleanup is returned: all listeners sit on elements inside parentElement and go with it, and
  // Streamlit may call a superseded cleanup while the component is still on the page.
}
