/**
 * The graph editor: plain SVG. Python holds the graph; this file draws it and proposes edits (see outbox.js).
 *
 * The browser owns what is only a matter of looking: where nodes stand, zoom, threshold, filter, selection.
 * Every text from Python is set with textContent or setAttribute: names are the user's and may hold any
 * character.
 */
const SVG = "http://www.w3.org/2000/svg";
const TOOL_MARKS = { add: "directed", bidirect: "bidirected" };
const TOOL_WORDS = { add: "causes", bidirect: "shares a hidden cause with", forbid: "must not cause" };
const ARROWS = { directed: "→", undirected: "—", bidirected: "↔", forbidden: "⇸" };
const LEGIBLE = 0.62; // smallest zoom that a first view takes; a larger graph begins at its top
const CROWD = 80; // more edges than this step back behind the nodes
const RIM = 5; // how far from a box's border a drag still draws an edge instead of moving the box
const REACH = 8; // how far from an edge a click still takes it

// Streamlit calls the default export again on every data or theme change with the same parentElement.
const INSTANCES = new WeakMap();

/** An SVG element with attributes, appended to `parent`. */
function shape(tag, attributes, parent) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

/** An HTML element with text, appended to `parent`. */
function text(tag, words, parent, className = "") {
  const element = document.createElement(tag);
  element.textContent = words;
  if (className) element.className = className;
  parent?.append(element);
  return element;
}

/** Set a text only when it differs, so that nothing is redrawn or read out twice. */
function setText(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** An arrowhead whose base is at x, y; `wide` is half its width. */
const head = ([x, y, angle, size = 1], breadth) => {
  const wide = breadth * size;
  const tip = angle ? x - HEAD : x + HEAD;
  return `M${x} ${y - wide}L${tip} ${y}L${x} ${y + wide}Z`;
};

const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

class Editor {
  constructor(root) {
    this.root = root;
    this.$ = (selector) => root.querySelector(selector);
    this.svg = this.$(".canvas");
    this.outbox = new Outbox();
    this.places = new Map(); // id -> {x, y}
    this.moved = new Set(); // nodes that were put somewhere by hand
    this.nodeShapes = new Map();
    this.edgeShapes = new Map();
    this.camera = { x: 0, y: 0, k: 1 };
    this.pointers = new Map();
    this.tool = "add";
    this.filter = "all";
    this.threshold = 0;
    this.chosen = null; // {kind: "node" | "edge", key}
    this.link = null; // the node that the keyboard connects from
    this.refused = 0;
    this.words = new Map(); // shortened labels, by what they were shortened from
    this.listen();
  }

  listen() {
    const on = (target, type, handle, options) => target.addEventListener(type, handle, options);
    on(this.svg, "pointerdown", (e) => this.down(e));
    on(this.svg, "pointermove", (e) => this.move(e));
    on(this.svg, "pointerup", (e) => this.up(e));
    on(this.svg, "pointercancel", () => this.cancel());
    on(this.svg, "pointerleave", () => this.hover(null));
    on(this.svg, "wheel", (e) => this.wheel(e), { passive: false });
    on(this.svg, "focusin", (e) => this.focused(e.target));
    const editor = this.$(".editor");
    on(editor, "keydown", (e) => this.key(e));
    on(editor, "click", (e) => {
      const button = e.target.closest("button");
      if (button?.dataset.act) this.act(button.dataset.act);
      if (button?.dataset.tool) this.take(button.dataset.tool);
    });
    on(this.$(".filter"), "change", (e) => {
      this.filter = e.target.value;
      this.draw();
      this.report();
    });
    on(this.$(".threshold"), "input", (e) => {
      this.threshold = Number(e.target.value) / 100;
      this.draw();
    });
    on(this.$(".threshold"), "change", () => this.report());
    on(this.$(".note-form"), "submit", (e) => this.keepNote(e));
    on(this.$(".latent-form"), "submit", (e) => this.addLatent(e));
    on(this.$(".as-text"), "toggle", () => this.listEdges());
    for (const bar of this.root.querySelectorAll('[role="toolbar"]')) on(bar, "focusin", (e) => this.stop(bar, e.target));
    this.watch = new ResizeObserver(() => {
      if (!this.svg.isConnected) this.watch.disconnect();
      else if (this.data) this.resized();
    });
    this.watch.observe(this.svg);
  }

  // ---- what comes from Python

  update(data, setStateValue) {
    const first = !this.data;
    const revised = !first && data.revision !== this.data.revision;
    this.data = data;
    this.setStateValue = setStateValue;
    if (first) this.resume(data.view);
    if (first || revised) this.arranged = false;
    this.outbox.acknowledge(data.acks[this.outbox.client] ?? 0);
    this.root.querySelector(".editor").classList.toggle("reading", data.read_only);
    this.tall = Math.max(1, ...data.tiers.map((t) => data.nodes.filter((n) => n.tier === t.tier).length));
    this.svg.style.height = `${data.height ?? clamp(this.tall * pitchFor(this.tall) + 120, 300, 780)}px`;
    this.listPaths();
    this.refresh();
    const news = data.refusals.filter((r) => r.client === this.outbox.client && r.seq > this.refused);
    if (news.length) {
      this.refused = news.at(-1).seq;
      this.refuse(news);
    }
  }

  /** Where a curator left off before the component went away with its page. */
  resume(view) {
    this.threshold = view.threshold;
    this.filter = view.filter;
    for (const [id, [x, y]] of Object.entries(view.positions)) {
      this.places.set(id, { x, y });
      this.moved.add(id);
    }
    if (view.selected?.kind === "node") this.chosen = { kind: "node", key: view.selected.id };
    if (view.selected?.kind === "edge") this.chosen = { kind: "edge", key: keyOf(view.selected.source, view.selected.target, view.selected.mark) };
    this.reported = JSON.stringify(this.view());
  }

  view() {
    const edge = this.chosen?.kind === "edge" && this.edges?.get(this.chosen.key);
    let selected = null;
    if (this.chosen?.kind === "node") selected = { kind: "node", id: this.chosen.key };
    else if (edge) selected = { kind: "edge", source: edge.source, target: edge.target, mark: edge.mark };
    const positions = {};
    for (const id of this.moved) {
      const { x, y } = this.places.get(id);
      positions[id] = [x, y];
    }
    return { selected, positions, threshold: this.threshold, filter: this.filter };
  }

  /** Tell Python what is selected and where things stand, when that has changed. */
  report() {
    const view = this.view();
    const now = JSON.stringify(view);
    if (now === this.reported) return;
    this.reported = now;
    this.setStateValue("view", view);
  }

  /** Send an edit, with the reason that was typed for it, and draw what it would do. */
  propose(operation, { reasoned = true } = {}) {
    if (this.data.read_only) return;
    const why = this.$(".why");
    const full = reasoned ? { ...operation, why: why.value.trim() } : operation;
    if (reasoned) why.value = "";
    this.outbox.push(full);
    this.hush();
    this.refresh();
    this.setStateValue("outbox", this.outbox.message(this.data.session));
  }

  // ---- the drawing

  /** Bring the drawing in line with the graph and the edits that wait. */
  refresh() {
    Object.assign(this, previewed(this.data, this.outbox.waiting));
    this.settle();
    if (this.chosen && !(this.chosen.kind === "node" ? this.nodes : this.drawn()).has(this.chosen.key)) {
      this.chosen = null;
    }
    if (this.link && !this.nodes.has(this.link)) this.link = null;
    this.fillFilter();
    this.draw();
    this.legend();
    if (!this.framed || (!this.steered && !this.fits())) this.frame();
  }

  /** Edges by key, with the forbidden pairs where they are shown. */
  drawn() {
    return this.showForbidden ? new Map([...this.edges, ...this.forbidden]) : this.edges;
  }

  /** Give every node a place; nodes that have one keep it through every edit. */
  settle() {
    const width = this.svg.clientWidth;
    if (!this.arranged && width) {
      const auto = arrange([...this.nodes.values()], [...this.edges.values()], this.data.tiers.map((t) => t.tier), width);
      for (const [id, place] of auto) if (!this.moved.has(id)) this.places.set(id, place);
      this.arranged = true;
      this.framed = false;
    }
    const gone = [...this.places.keys()].filter((id) => !this.nodes.has(id));
    for (const id of gone) this.places.delete(id);
    for (const id of [...this.moved]) if (!this.nodes.has(id)) this.moved.delete(id);
    for (const node of this.nodes.values()) {
      if (this.places.has(node.id)) continue;
      const peers = [...this.nodes.values()].filter((n) => n.tier === node.tier && this.places.has(n.id));
      const xs = (peers.length ? peers.map((n) => n.id) : [...this.places.keys()]).map((id) => this.places.get(id).x);
      const beside = peers.length ? 0 : BOX.w + 110; // the first latent: a column of its own before all others
      this.places.set(node.id, placeBelow(this.places, (xs.length ? Math.min(...xs) : 0) - beside));
      if (!peers.length) this.framed = false;
    }
    for (const node of this.nodes.values()) Object.assign(node, this.places.get(node.id));
  }

  draw() {
    const edges = this.drawn();
    const shown = this.sift(edges);
    this.shown = new Map([...edges].filter(([key]) => shown.has(key)));
    this.paths = routes(this.nodes, [...this.shown.values()]);
    this.match(this.nodes, this.nodeShapes, this.$(".nodes"), (id) => this.newNode(id));
    this.match(this.shown, this.edgeShapes, this.$(".edges"), (key) => this.newEdge(key));
    const lit = this.lit();
    const links = this.links();
    for (const node of this.nodes.values()) this.paintNode(node, lit, links.get(node.id));
    for (const edge of this.shown.values()) this.paintEdge(edge, lit);
    this.stand();
    this.panel(edges.size - this.shown.size);
    this.listEdges();
    const stops = this.svg.querySelectorAll('[tabindex="0"]');
    if (!stops.length) this.nodeShapes.values().next().value?.setAttribute("tabindex", "0");
    this.aim();
    this.pin();
  }

  /** Put nodes and edges where they belong; all that changes while a node is dragged. */
  stand() {
    for (const node of this.nodes.values()) this.nodeShapes.get(node.id).setAttribute("transform", `translate(${node.x},${node.y})`);
    const taken = [];
    this.$(".marks").replaceChildren();
    for (const edge of this.shown.values()) {
      const g = this.edgeShapes.get(edge.key);
      const path = this.paths.get(edge.key);
      const required = edge.status === "required";
      const bent = `${path.d} ${required}`;
      if (g.bent !== bent) {
        g.bent = bent;
        const [halo, line, tip] = g.querySelectorAll("path");
        halo.setAttribute("d", path.d);
        line.setAttribute("d", path.d);
        tip.setAttribute("d", path.heads.map((h) => head(h, required ? 5.5 : 4)).join(""));
      }
      const signs = [];
      if (required) signs.push("lock");
      if (edge.note) signs.push("note");
      if (edge.mark === "forbidden") signs.push("ban");
      for (const sign of signs) this.sign(sign, g.look, spots(path), taken);
    }
    this.headings();
  }

  /** How many causes and effects each node has. */
  links() {
    const links = new Map([...this.nodes.keys()].map((id) => [id, { causes: 0, effects: 0 }]));
    for (const { source, target, mark } of this.edges.values()) {
      if (mark !== "directed" || !links.has(source) || !links.has(target)) continue;
      links.get(source).effects += 1;
      links.get(target).causes += 1;
    }
    return links;
  }

  /** Make one shape per item and drop the others; a focused shape that goes hands its focus on. */
  match(items, shapes, layer, make) {
    for (const [key, g] of shapes) {
      if (items.has(key)) continue;
      const focused = g.matches(":focus");
      g.remove();
      shapes.delete(key);
      if (focused) this.svg.focus({ preventScroll: true });
    }
    for (const key of items.keys()) {
      if (!shapes.has(key)) {
        const g = make(key);
        shapes.set(key, g);
        layer.append(g);
      }
    }
  }

  /** Keys of the edges that the threshold and the filter leave. */
  sift(edges) {
    const kept = new Set();
    const [kind, value] = [this.filter.slice(0, this.filter.indexOf(":")), this.filter.slice(this.filter.indexOf(":") + 1)];
    const before = kind === "to" ? this.ancestors(value) : null;
    for (const [key, edge] of edges) {
      const firm = edge.stability == null || edge.status === "required" || edge.pending;
      if (!firm && edge.stability < this.threshold) continue;
      const [a, b] = [this.nodes.get(edge.source), this.nodes.get(edge.target)];
      if (!a || !b) continue;
      if (kind === "tier" && a.tier !== value && b.tier !== value) continue;
      if (before && !(before.has(a.id) && before.has(b.id))) continue;
      kept.add(key);
    }
    return kept;
  }

  /** A node and everything that may cause it, directly or through others. */
  ancestors(id) {
    const found = new Set([id]);
    const queue = [id];
    while (queue.length) {
      const now = queue.pop();
      for (const edge of this.edges.values()) {
        const from = edge.target === now ? edge.source : edge.mark !== "directed" && edge.source === now ? edge.target : null;
        if (from !== null && !found.has(from)) {
          found.add(from);
          queue.push(from);
        }
      }
    }
    return found;
  }

  /** The nodes and edges next to the selection, and those that the page points at; null without a selection. */
  lit() {
    const { nodes: markedNodes, edges: markedEdges } = this.pointed ?? this.data.highlight;
    const marked = { nodes: new Set(markedNodes), edges: new Set(markedEdges.flatMap(([a, b]) => [keyOf(a, b), keyOf(a, b, "bidirected")])) };
    if (!this.chosen) return { marked, nodes: null, edges: null };
    const nodes = new Set(marked.nodes);
    const edges = new Set(marked.edges);
    if (this.chosen.kind === "node") nodes.add(this.chosen.key);
    for (const edge of this.shown.values()) {
      const near = this.chosen.kind === "node" ? [edge.source, edge.target].includes(this.chosen.key) : edge.key === this.chosen.key;
      if (near) {
        edges.add(edge.key);
        nodes.add(edge.source).add(edge.target);
      }
    }
    return { marked, nodes, edges };
  }

  newNode(id) {
    const g = shape("g", { tabindex: -1, role: "button", "data-node": id });
    const [x, y] = [-half(BOX.w), -half(BOX.h)];
    shape("title", {}, g);
    shape("rect", { class: "ring", x: x - 4, y: y - 4, width: BOX.w + 8, height: BOX.h + 8, rx: 10 }, g);
    shape("rect", { class: "box", x, y, width: BOX.w, height: BOX.h, rx: 6 }, g);
    const label = shape("text", { x: x + 12, y: 0.5 }, g);
    shape("tspan", { class: "prefix" }, label);
    shape("tspan", { class: "name" }, label);
    if (!this.data.read_only) shape("circle", { class: "handle", cx: half(BOX.w), r: 4 }, g);
    return g;
  }

  paintNode(node, lit, { causes, effects }) {
    const g = this.nodeShapes.get(node.id);
    const chosen = this.chosen?.kind === "node" && this.chosen.key === node.id;
    const classes = ["node", node.tier];
    if (chosen) classes.push("on");
    if (lit.marked.nodes.has(node.id)) classes.push("marked");
    if (lit.nodes && !lit.nodes.has(node.id)) classes.push("dim");
    if (this.link === node.id) classes.push("from");
    if (this.over === node.id) classes.push("drop");
    if (node.pending) classes.push("pending");
    if (node.leaving) classes.push("leaving");
    g.setAttribute("class", classes.join(" "));
    g.querySelector(".box").setAttribute("rx", node.tier === "latent" ? half(BOX.h) : 6);
    setText(g.querySelector("title"), node.id);
    const prefix = node.prefix ? `${node.prefix} ` : "";
    setText(g.querySelector(".prefix"), prefix.replace(" ", "\u00a0"));
    setText(g.querySelector(".name"), this.shorten(node.label, BOX.w - 26 - this.measure(prefix)));
    const tier = this.data.tiers.find((t) => t.tier === node.tier).one;
    g.setAttribute("aria-label", `${node.id}, ${tier}, ${count(causes, "cause")}, ${count(effects, "effect")}`);
    g.setAttribute("aria-pressed", String(chosen));
  }

  measure(words) {
    this.pen ??= document.createElement("canvas").getContext("2d");
    this.pen.font = `13px ${getComputedStyle(this.$(".editor")).fontFamily}`;
    return this.pen.measureText(words).width;
  }

  /** `label`, or its two ends around an ellipsis: names of pool states differ at both. */
  shorten(label, room) {
    const key = `${Math.round(room)} ${label}`;
    if (!this.words.has(key)) {
      const letters = "Segmenter" in Intl ? Array.from(new Intl.Segmenter().segment(label), (s) => s.segment) : Array.from(label);
      let shown = label;
      for (let keep = letters.length - 1; keep > 1 && this.measure(shown) > room; keep--) {
        const front = Math.ceil(keep * 0.55);
        shown = `${letters.slice(0, front).join("")}…${letters.slice(letters.length - (keep - front)).join("")}`;
      }
      this.words.set(key, shown);
    }
    return this.words.get(key);
  }

  newEdge(key) {
    const g = shape("g", { tabindex: -1, role: "button", "data-edge": key });
    shape("title", {}, g);
    for (const className of ["halo", "line", "head"]) shape("path", { class: className }, g);
    return g;
  }

  paintEdge(edge, lit) {
    const g = this.edgeShapes.get(edge.key);
    const required = edge.status === "required";
    const chosen = this.chosen?.kind === "edge" && this.chosen.key === edge.key;
    const classes = [edge.mark];
    if (edge.mark !== "forbidden") classes.push(edge.origin);
    if (lit.edges && !lit.edges.has(edge.key)) classes.push("dim");
    g.look = classes.join(" "); // what a sign on it shares
    if (required) classes.push("required");
    if (lit.marked.edges.has(edge.key)) classes.push("marked");
    if (chosen) classes.push("on");
    if (this.overEdge === edge.key) classes.push("over");
    if (edge.pending) classes.push("pending");
    if (edge.leaving) classes.push("leaving");
    g.setAttribute("class", `edge ${classes.join(" ")}`);
    const firm = edge.stability ?? 1;
    const line = g.querySelector(".line");
    const calm = edge.origin === "assumed" && !required && !chosen;
    line.setAttribute("stroke-width", required ? 3.4 : calm ? 1.1 : (1 + 0.8 * firm).toFixed(2));
    const crowd = lit.edges ? 1 : clamp(Math.sqrt(CROWD / this.shown.size), 0.3, 1);
    const opacity = required || chosen ? 1 : ((calm ? 0.6 : 0.35 + 0.65 * firm) * crowd).toFixed(2);
    line.setAttribute("stroke-opacity", opacity);
    g.querySelector(".head").setAttribute("fill-opacity", opacity);
    setText(g.querySelector("title"), `${this.sentence(edge)}${edge.note ? `\n${edge.note}` : ""}`);
    g.setAttribute("aria-label", this.sentence(edge));
    g.setAttribute("aria-pressed", String(chosen));
  }

  /** A small round sign on an edge, where no other one is. */
  sign(kind, look, places, taken) {
    const free = places.find(([x, y]) => taken.every(([a, b]) => Math.hypot(a - x, b - y) > 19)) ?? places[0];
    taken.push(free);
    const g = shape("g", { class: `mark ${kind} ${look}`, transform: `translate(${free[0]},${free[1]})` }, this.$(".marks"));
    drawSign(g, kind);
  }

  headings() {
    const layer = this.$(".columns");
    layer.replaceChildren();
    const top = Math.min(...[...this.nodes.values()].map((n) => n.y)) - half(BOX.h);
    for (const { tier, title, caption } of this.data.tiers) {
      const xs = [...this.nodes.values()].filter((n) => n.tier === tier).map((n) => n.x);
      if (!xs.length) continue;
      const x = xs.reduce((sum, at) => sum + at, 0) / xs.length;
      shape("text", { x, y: top - 34 }, layer).textContent = title;
      shape("text", { x, y: top - 17, class: "caption" }, layer).textContent = caption;
    }
  }

  legend() {
    const edges = [...this.edges.values()];
    const entries = Object.entries(this.data.origins)
      .filter(([origin]) => edges.some((e) => e.origin === origin))
      .map(([origin, words]) => [`directed ${origin}`, words, {}]);
    if (edges.some((e) => e.mark === "undirected")) entries.push(["undirected discovered", "no direction known", {}]);
    if (edges.some((e) => e.mark === "bidirected")) entries.push(["bidirected assumed", "hidden common cause", {}]);
    if (edges.some((e) => e.status === "required")) entries.push(["directed assumed required", "required", { sign: "lock" }]);
    if (edges.some((e) => e.stability != null)) entries.push(["directed discovered faint", "less stable", {}]);
    if (this.showForbidden) entries.push(["forbidden", "forbidden", { sign: "ban" }]);
    const key = JSON.stringify(entries);
    if (key === this.legendKey) return;
    this.legendKey = key;
    const list = this.$(".legend");
    list.replaceChildren();
    for (const [look, words, { sign }] of entries) {
      const item = text("li", "", list);
      const svg = shape("svg", { viewBox: "0 0 34 14", "aria-hidden": "true" }, item);
      const g = shape("g", { class: `edge ${look}` }, svg);
      const [faint, thick] = [look.includes("faint"), look.includes("required")];
      const from = look.includes("bidirected") ? 8 : sign ? 18 : 0;
      const to = look.includes("undirected") || look === "forbidden" ? 34 : 26;
      const line = shape("path", { class: "line", d: `M${from} 7H${to}`, "stroke-width": thick ? 3.4 : faint ? 1 : 1.8 }, g);
      if (faint) line.setAttribute("stroke-opacity", 0.5);
      const heads = [[to, 7, 0], [8, 7, 180]].slice(0, to === 34 ? 0 : from === 8 ? 2 : 1);
      const tip = shape("path", { class: "head", d: heads.map((h) => head(h, 4)).join("") }, g);
      if (faint) tip.setAttribute("fill-opacity", 0.5);
      if (sign) drawSign(shape("g", { class: `mark ${look}`, transform: "translate(9,7)" }, svg), sign);
      item.append(words);
    }
  }

  /** An edge in words, for the title, screen readers and the list. */
  sentence(edge) {
    const verb = { directed: "causes", undirected: "is linked, without a known direction, to", bidirected: "shares a hidden cause with", forbidden: "must not cause" }[edge.mark];
    const facts = [edge.words];
    if (edge.stability != null) facts.push(`in ${Math.round(100 * edge.stability)} % of resamples`);
    if (edge.status === "required") facts.push("required");
    if (edge.pending) facts.push("not confirmed yet");
    return `${edge.source} ${verb} ${edge.target} (${facts.filter(Boolean).join(", ")})`;
  }

  listEdges() {
    const edges = [...this.shown.values()];
    setText(this.$(".as-text summary"), `The edges as text (${edges.length})`);
    if (!this.$(".as-text").open) return;
    edges.sort((a, b) => a.source.localeCompare(b.source) || a.target.localeCompare(b.target));
    const lines = edges.map((e) => [e.key, this.sentence(e) + (e.note ? `: ${e.note}` : "")]);
    const now = JSON.stringify(lines);
    if (now === this.listed) return;
    this.listed = now;
    const list = this.$(".list");
    list.replaceChildren();
    for (const [key, words] of lines) {
      const button = text("button", words, text("li", "", list));
      button.type = "button";
      button.onclick = () => this.choose({ kind: "edge", key });
    }
  }

  /** The paths that the page has found; the one under the pointer or the focus is marked in the drawing. */
  listPaths() {
    const { title, paths } = this.data.paths;
    const now = JSON.stringify([title, paths]);
    if (now === this.pathsListed) return;
    this.pathsListed = now;
    this.pointed = null;
    this.$(".paths").hidden = !paths.length;
    setText(this.$(".paths-title"), title);
    const list = this.$(".paths-list");
    list.replaceChildren();
    for (const path of paths) {
      const button = text("button", path.words, text("li", "", list));
      button.type = "button";
      text("span", path.why, button, "why-so");
      const point = (on) => {
        this.pointed = on ? path : null;
        this.draw();
      };
      button.onpointerenter = button.onfocus = () => point(true);
      button.onpointerleave = () => document.activeElement !== button && !button.matches(":focus") && point(false);
      button.onblur = () => point(false);
    }
  }

  /** What is selected, in words, and the buttons that fit it. */
  panel(hidden) {
    const { data } = this;
    const edge = this.chosen?.kind === "edge" ? this.drawn().get(this.chosen.key) : null;
    const node = this.chosen?.kind === "node" ? this.nodes.get(this.chosen.key) : null;
    const what = this.$(".what");
    what.replaceChildren();
    if (edge) {
      text("b", `${edge.source} ${ARROWS[edge.mark]} ${edge.target}`, what);
      const stability = edge.stability == null ? "" : `found in ${Math.round(100 * edge.stability)} % of resamples`;
      const facts = [edge.words, stability, edge.status === "required" ? "required" : "", edge.note ? `“${edge.note}”` : ""];
      text("span", facts.filter(Boolean).join(" · "), what, "more").title = facts.filter(Boolean).join(" · ");
    } else if (node) {
      text("b", node.id, what);
      const touching = [...this.shown.values()].filter((e) => e.mark !== "forbidden" && [e.source, e.target].includes(node.id));
      text("span", `${data.tiers.find((t) => t.tier === node.tier).one} · ${count(touching.length, "edge")} shown`, what, "more");
    } else {
      text("span", this.link ? "" : this.hint(), what);
    }
    if (this.link) {
      what.replaceChildren();
      text("b", `${this.link} ${TOOL_WORDS[this.tool]} …`, what);
      text("span", "Go to the other node with the arrow keys and press Enter, or click it. Escape stops.", what, "more");
    }
    const edits = !data.read_only && !this.link;
    const show = (act, fits) => (this.$(`[data-act="${act}"]`).hidden = !(edits && fits));
    const real = edge && edge.mark !== "forbidden";
    show("connect", node);
    show("orient", edge?.mark === "undirected");
    show("orient-back", edge?.mark === "undirected");
    show("reverse", edge?.mark === "directed");
    show("require", edge?.mark === "directed" && edge.status !== "required");
    show("release", real && edge.status === "required");
    this.root.querySelector('.actions [data-act="forbid"]').hidden = !(edits && edge?.mark === "directed");
    show("allow", edge?.mark === "forbidden");
    show("note", real);
    show("delete", real || node?.tier === "latent");
    if (edge?.mark === "undirected") {
      this.$('[data-act="orient"]').textContent = `${this.label(edge.source)} → ${this.label(edge.target)}`;
      this.$('[data-act="orient-back"]').textContent = `${this.label(edge.target)} → ${this.label(edge.source)}`;
    }
    this.$(".edits").hidden = data.read_only;
    this.$(".why").hidden = data.read_only;
    const waits = this.outbox.waiting.length > 0;
    this.$('[data-act="undo"]').disabled = !data.can_undo && !waits;
    this.$('[data-act="redo"]').disabled = !data.can_redo && !waits;
    const stable = [...this.edges.values()].some((e) => e.stability != null);
    this.$(".stability").hidden = !stable;
    this.$(".threshold").value = Math.round(this.threshold * 100);
    setText(this.$(".least"), `≥ ${Math.round(this.threshold * 100)} %`);
    const bans = this.$('[data-act="forbidden"]');
    bans.hidden = !this.forbidden.size && !this.showForbidden;
    setText(bans, `Forbidden (${this.forbidden.size})`);
    bans.setAttribute("aria-pressed", String(Boolean(this.showForbidden)));
    for (const button of this.root.querySelectorAll("[data-tool]")) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === this.tool));
    }
    const words = [count(this.shown.size, "edge"), hidden ? `${hidden} hidden` : ""];
    if (waits) words.push("saving …");
    setText(this.$(".status"), words.filter(Boolean).join(", "));
    this.svg.setAttribute(
      "aria-label",
      `Causal graph with ${count(this.nodes.size, "node")} and ${count(this.edges.size, "edge")}. Arrow keys move between nodes, ` +
        "Enter connects, E goes to the edges of a node, Space selects.",
    );
    for (const bar of this.root.querySelectorAll('[role="toolbar"]')) this.stop(bar, null);
    const focused = this.root.querySelector("button:focus");
    if (focused?.hidden || focused?.disabled) this.svg.focus({ preventScroll: true }); // its work is done
  }

  hint() {
    if (this.data.read_only) return "Click a node or an edge to see what it is about.";
    const draws = {
      add: "Drag from the rim of one node to another to say that the first causes the second.",
      bidirect: "Drag from the rim of one node to another that shares a hidden cause with it.",
      forbid: "Drag from the rim of one node to another that it must not cause.",
    };
    return `${draws[this.tool]} Click a node or an edge to change it.`;
  }

  label(id) {
    return this.nodes.get(id)?.label ?? id;
  }

  fillFilter() {
    const present = this.data.tiers.filter((t) => this.data.nodes.some((n) => n.tier === t.tier));
    const outcomes = this.data.nodes.filter((n) => n.tier === "outcome").map((n) => n.id);
    const key = JSON.stringify([present, outcomes]);
    const select = this.$(".filter");
    if (key !== this.filterKey) {
      this.filterKey = key;
      select.replaceChildren();
      const option = (value, words, parent) => (text("option", words, parent).value = value);
      option("all", "everything", select);
      const tiers = document.createElement("optgroup");
      tiers.label = "edges of";
      for (const { tier, title } of present) option(`tier:${tier}`, title.toLowerCase(), tiers);
      const leads = document.createElement("optgroup");
      leads.label = "what leads to";
      for (const id of outcomes) option(`to:${id}`, id, leads);
      select.append(tiers, leads);
    }
    select.value = this.filter;
    if (select.value !== this.filter) select.value = this.filter = "all";
  }

  // ---- camera

  resized() {
    if (!this.arranged) this.refresh();
    else if (!this.framed || !this.steered) this.frame();
  }

  bounds() {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    const hold = (x, y) => {
      [x0, x1] = [Math.min(x0, x), Math.max(x1, x)];
      [y0, y1] = [Math.min(y0, y), Math.max(y1, y)];
    };
    for (const { x, y } of this.nodes.values()) {
      hold(x - half(BOX.w), y - half(BOX.h));
      hold(x + half(BOX.w), y + half(BOX.h));
    }
    for (const { curves } of this.paths.values()) for (const c of curves) for (let i = 0; i < 8; i += 2) hold(0.25 * c[0] + 0.75 * c[i], c[i + 1]);
    return { x0: x0 - 16, x1: x1 + 16, y0: y0 - 62, y1: y1 + 16 };
  }

  /** Whether all of the drawing is in view, or was too large to be from the start. */
  fits() {
    const { x, y, k } = this.camera;
    const { x0, x1, y0, y1 } = this.bounds();
    const inside = x0 * k + x >= -1 && x1 * k + x <= this.svg.clientWidth + 1 && y0 * k + y >= -1 && y1 * k + y <= this.svg.clientHeight + 1;
    return inside || k === LEGIBLE;
  }

  /** Show all of the graph; at first only as small as can be read, from the top. */
  frame(least = LEGIBLE) {
    const [width, height] = [this.svg.clientWidth, this.svg.clientHeight];
    if (!width || !height || !this.nodes.size) return;
    const { x0, x1, y0, y1 } = this.bounds();
    const k = Math.max(Math.min(width / (x1 - x0), height / (y1 - y0), 1.15), least);
    const spare = height - k * (y1 - y0);
    this.camera = { k, x: (width - k * (x0 + x1)) / 2, y: spare < 0 ? -k * y0 : spare / 2 - k * y0 };
    this.framed = true;
    this.steered = false;
    this.look();
  }

  look() {
    const { x, y, k } = this.camera;
    this.$(".view").setAttribute("transform", `translate(${x},${y}) scale(${k})`);
    this.pin();
  }

  point(e) {
    const box = this.svg.getBoundingClientRect();
    const { x, y, k } = this.camera;
    return { x: (e.clientX - box.left - x) / k, y: (e.clientY - box.top - y) / k };
  }

  zoom(factor, at) {
    const box = this.svg.getBoundingClientRect();
    const [cx, cy] = at ? [at.clientX - box.left, at.clientY - box.top] : [box.width / 2, box.height / 2];
    const { x, y, k } = this.camera;
    const next = clamp(k * factor, 0.15, 3.5);
    this.camera = { k: next, x: cx - ((cx - x) * next) / k, y: cy - ((cy - y) * next) / k };
    this.steered = true;
    this.look();
  }

  /** The wheel zooms with Ctrl, or once the editor has the focus, so that it does not trap a page that scrolls by. */
  wheel(e) {
    if (!e.ctrlKey && !e.metaKey && !this.root.querySelector(":focus")) return;
    e.preventDefault();
    this.zoom(Math.exp(-clamp(e.deltaY, -120, 120) * 0.0022), e);
  }

  // ---- pointer: mouse, pen and touch

  /** The node at a point, and whether a drag from there draws an edge; just outside a box it still does. */
  nodeAt({ x, y }, touch) {
    let rim = null;
    for (const node of [...this.nodes.values()].reverse()) {
      const [dx, dy] = [half(BOX.w) - Math.abs(x - node.x), half(BOX.h) - Math.abs(y - node.y)]; // depth inside the box
      const handle = Math.hypot(x - node.x - half(BOX.w), y - node.y);
      if (handle < (touch ? 18 : 10)) rim ??= node;
      if (dx < -RIM || dy < -RIM) continue;
      const inside = dx >= 0 && dy >= 0;
      if (inside && (touch || (dx >= RIM && dy >= RIM - 1))) return { node, rim: rim === node, inside };
      if (inside) return { node, rim: true, inside };
      if (!touch) rim ??= node;
    }
    return rim ? { node: rim, rim: true, inside: false } : null;
  }

  edgeAt(point) {
    let best = null;
    let least = REACH / Math.min(1, this.camera.k);
    for (const [key, path] of this.paths) {
      const away = distance(pieces(path), point);
      if (away < least) [best, least] = [key, away];
    }
    return best;
  }

  down(e) {
    if (e.button) return;
    this.pointers.set(e.pointerId, e);
    this.svg.setPointerCapture(e.pointerId);
    this.hover(null);
    if (this.pointers.size === 2) {
      this.cancel(false);
      this.drag = { kind: "pinch" };
      return;
    }
    const at = this.point(e);
    const hit = this.nodeAt(at, e.pointerType === "touch");
    const links = hit && !this.data.read_only && (hit.rim || e.shiftKey);
    this.drag = {
      kind: links ? "link" : hit?.inside ? "node" : "pan", id: hit?.node.id, inside: hit?.inside, at, x: e.clientX, y: e.clientY,
      camera: this.camera, from: hit && { ...this.places.get(hit.node.id) }, moved: false,
    };
  }

  move(e) {
    const last = this.pointers.get(e.pointerId);
    if (last) this.pointers.set(e.pointerId, e);
    const { drag } = this;
    if (!drag) return this.hover(e);
    if (drag.kind === "pinch") return this.pinch(e, last);
    if (!drag.moved && Math.hypot(e.clientX - drag.x, e.clientY - drag.y) < (e.pointerType === "touch" ? 8 : 4)) return undefined;
    drag.moved = true;
    const at = this.point(e);
    if (drag.kind === "pan") {
      this.steered = true;
      this.camera = { ...this.camera, x: drag.camera.x + e.clientX - drag.x, y: drag.camera.y + e.clientY - drag.y };
      this.svg.classList.add("grip");
      this.look();
    } else if (drag.kind === "node") {
      this.svg.classList.add("grip");
      this.place(drag.id, { x: drag.from.x + at.x - drag.at.x, y: drag.from.y + at.y - drag.at.y });
    } else {
      const over = this.nodeAt(at, true)?.node.id ?? null;
      drag.end = at;
      this.nodeShapes.get(this.over)?.classList.remove("drop");
      this.over = over === drag.id ? null : over;
      this.nodeShapes.get(this.over)?.classList.add("drop");
      this.aim();
    }
    return undefined;
  }

  pinch(e, last) {
    const other = [...this.pointers.values()].find((p) => p.pointerId !== e.pointerId);
    if (!other || !last) return;
    const apart = (p) => Math.max(1, Math.hypot(p.clientX - other.clientX, p.clientY - other.clientY));
    const middle = { clientX: (e.clientX + other.clientX) / 2, clientY: (e.clientY + other.clientY) / 2 };
    this.zoom(apart(e) / apart(last), middle);
    this.camera.x += (e.clientX - last.clientX) / 2;
    this.camera.y += (e.clientY - last.clientY) / 2;
    this.look();
  }

  up(e) {
    this.pointers.delete(e.pointerId);
    const { drag } = this;
    if (!drag || drag.kind === "pinch") {
      if (!this.pointers.size) this.drag = null;
      return;
    }
    this.drag = null;
    this.over = null;
    this.svg.classList.remove("grip");
    const at = this.point(e);
    if (drag.moved && drag.kind === "link") {
      const target = this.nodeAt(at, true)?.node.id;
      if (target !== undefined && target !== drag.id) this.connect(drag.id, target);
      else this.draw();
    } else if (drag.moved && drag.kind === "node") {
      const { x, y } = this.places.get(drag.id);
      this.moved.add(drag.id);
      this.place(drag.id, { x: Math.round(x), y: Math.round(y) }); // as it is reported, so that it comes back to the same
      this.report();
    } else if (!drag.moved) {
      const edge = drag.inside ? null : this.edgeAt(at); // an edge that passes close to a box can still be clicked
      this.click(edge === null ? drag.id : undefined, edge);
    }
  }

  click(id, edge) {
    if (this.link && id !== undefined) {
      const from = this.link;
      this.link = null;
      if (from !== id) this.connect(from, id);
      else this.draw();
      return;
    }
    const g = id === undefined ? this.edgeShapes.get(edge) : this.nodeShapes.get(id);
    (g ?? this.svg).focus({ preventScroll: true });
    this.hush();
    this.choose(id !== undefined ? { kind: "node", key: id } : edge ? { kind: "edge", key: edge } : null);
  }

  /** Drop whatever the pointer or the keyboard was about to do. */
  cancel(forget = true) {
    if (this.drag?.kind === "node" && this.drag.moved) this.places.set(this.drag.id, this.drag.from);
    if (forget) this.pointers.clear();
    this.drag = this.link = this.over = null;
    this.svg.classList.remove("grip");
    this.refresh();
  }

  hover(e) {
    const at = e && e.pointerType !== "touch" ? this.point(e) : null;
    const hit = at && this.nodeAt(at, false);
    const edge = at && !hit?.inside ? this.edgeAt(at) : null;
    this.svg.classList.toggle("rim", Boolean(hit?.rim) && !this.data.read_only);
    this.svg.classList.toggle("over", Boolean(edge || (hit && !hit.rim)));
    if (edge === this.overEdge) return;
    this.edgeShapes.get(this.overEdge)?.classList.remove("over");
    this.edgeShapes.get(edge)?.classList.add("over");
    this.overEdge = edge;
  }

  /** At most one drawing per frame, however many pointer events arrive. */
  later(work) {
    if (this.frameAsked) return;
    this.frameAsked = requestAnimationFrame(() => {
      this.frameAsked = 0;
      work();
    });
  }

  place(id, at) {
    this.places.set(id, at);
    Object.assign(this.nodes.get(id), at);
    this.later(() => {
      for (const node of this.nodes.values()) Object.assign(node, this.places.get(node.id));
      this.paths = routes(this.nodes, [...this.shown.values()]);
      this.stand();
      this.pin();
    });
  }

  /** The line from the node that is being connected to the pointer, or to the node that has the focus. */
  aim() {
    const ghost = this.$(".ghost");
    const dragging = this.drag?.kind === "link" && this.drag.moved;
    const from = this.nodes.get(dragging ? this.drag.id : this.link);
    const end = dragging ? this.drag.end : this.nodes.get(this.over);
    ghost.toggleAttribute("hidden", !from || !end);
    if (!from || !end) return;
    const side = end.x < from.x ? -1 : 1;
    ghost.setAttribute("class", `ghost ${this.tool}`);
    ghost.setAttribute("d", `M${from.x + side * half(BOX.w)} ${from.y}L${end.x} ${end.y}`);
  }

  // ---- keyboard: one tab stop per toolbar and one for the drawing

  stop(bar, focused) {
    const buttons = [...bar.querySelectorAll("button")];
    const usable = buttons.filter((b) => !b.hidden && !b.disabled);
    const keep = usable.includes(focused) ? focused : usable.find((b) => b.tabIndex === 0) ?? usable[0];
    for (const button of buttons) button.tabIndex = button === keep ? 0 : -1;
  }

  focused(target) {
    const g = target.closest?.("[data-node],[data-edge]");
    if (!g) return;
    for (const other of this.svg.querySelectorAll('[tabindex="0"]')) other.setAttribute("tabindex", "-1");
    g.setAttribute("tabindex", "0");
    if (this.link) {
      this.over = g.dataset.node ?? null;
      if (this.over === this.link) this.over = null;
      this.draw();
    }
    this.reveal(g);
  }

  /** Pan so that what has the focus can be seen. */
  reveal(g) {
    const node = this.nodes.get(g.dataset.node);
    if (!node || !this.svg.matches(":has(:focus-visible)")) return;
    const { k } = this.camera;
    const [x, y] = [node.x * k + this.camera.x, node.y * k + this.camera.y];
    const [mx, my] = [half(BOX.w) * k + 8, half(BOX.h) * k + 8];
    const [width, height] = [this.svg.clientWidth, this.svg.clientHeight];
    const [dx, dy] = [clamp(x, mx, Math.max(mx, width - mx)) - x, clamp(y, my, Math.max(my, height - my)) - y];
    if (!dx && !dy) return;
    this.camera = { k, x: this.camera.x + dx, y: this.camera.y + dy };
    this.steered = true;
    this.look();
  }

  key(e) {
    const plain = !e.ctrlKey && !e.metaKey && !e.altKey;
    const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
    const typing = e.target.matches("input:not([type=range]):not([type=checkbox]), textarea");
    let used = typing || (plain && e.key.length === 1); // C and R are shortcuts of Streamlit wherever they arrive
    const done = () => {
      used = true;
      e.preventDefault();
    };
    if (typing) {
      if (key === "Escape") this.leaveField(e.target);
      if (key === "Enter" && e.target.matches(".why")) this.svg.querySelector('[tabindex="0"]')?.focus();
    } else if ((e.ctrlKey || e.metaKey) && (key === "z" || key === "y")) {
      this.act(key === "y" || e.shiftKey ? "redo" : "undo");
      done();
    } else if (key === "Escape") {
      this.escape(e);
      done();
    } else if (plain && e.target.closest('[role="toolbar"]') && ["ArrowLeft", "ArrowRight", "Home", "End"].includes(key)) {
      this.along(e.target, key);
      done();
    } else if (plain && this.svg.contains(e.target) && this.drawingKey(key, e)) {
      done();
    } else if (e.target.matches("button, summary") && (key === "Enter" || key === " ")) {
      used = true;
    }
    if (used) e.stopPropagation();
  }

  leaveField(field) {
    if (field.closest(".popover")) this.act("close");
    else this.svg.querySelector('[tabindex="0"]')?.focus();
  }

  escape(e) {
    if (e.target.closest(".popover")) this.act("close");
    else if (!this.$(".bubble").hidden) this.act("dismiss");
    else if (this.link || this.drag) this.cancel();
    else this.choose(null);
  }

  along(from, key) {
    const buttons = [...from.closest('[role="toolbar"]').querySelectorAll("button")].filter((b) => !b.hidden && !b.disabled);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    const at = step ? (buttons.indexOf(from) + step + buttons.length) % buttons.length : key === "Home" ? 0 : buttons.length - 1;
    buttons[at].focus();
  }

  /** A key on the drawing; whether it meant something. */
  drawingKey(key, e) {
    const g = e.target.closest("[data-node],[data-edge]");
    const common = { "+": "in", "=": "in", "-": "out", 0: "fit", h: "latent" }[key];
    if (common) return this.act(common), true;
    const tool = { 1: "add", 2: "bidirect", 3: "forbid" }[key];
    if (tool && !this.data.read_only) return this.take(tool), true;
    if (key === "w" && !this.data.read_only) return this.$(".why").focus(), true;
    if (g?.dataset.node !== undefined) return this.nodeKey(key, this.nodes.get(g.dataset.node), e.shiftKey);
    if (g) return this.edgeKey(key, this.shown.get(g.dataset.edge));
    if (key.startsWith("Arrow")) return this.nodeShapes.values().next().value?.focus(), true;
    return false;
  }

  nodeKey(key, node, shift) {
    if (key.startsWith("Arrow")) {
      if (shift) this.nudge(node, key);
      else this.step(node, key);
    } else if (key === "Enter") this.connectByKey(node.id);
    else if (key === " ") this.choose({ kind: "node", key: node.id });
    else if (key === "e") this.intoEdges(node.id);
    else if (key === "Delete" || key === "Backspace") {
      if (node.tier !== "latent") return false;
      this.propose({ kind: "delete-latent", node: node.id });
    } else return false;
    return true;
  }

  edgeKey(key, edge) {
    const acts = { r: edge.mark === "undirected" ? "orient-back" : "reverse", o: "orient", f: edge.mark === "forbidden" ? "allow" : "forbid", n: "note", Delete: "delete", Backspace: "delete" };
    acts.l = edge.status === "required" ? "release" : "require";
    if (acts[key]) {
      this.choose({ kind: "edge", key: edge.key });
      this.act(acts[key]);
    } else if (key === "ArrowDown" || key === "ArrowUp") this.nextEdge(edge, key === "ArrowDown" ? 1 : -1);
    else if (key === "ArrowLeft") this.nodeShapes.get(edge.source).focus();
    else if (key === "ArrowRight") this.nodeShapes.get(edge.target).focus();
    else if (key === " " || key === "Enter") this.choose({ kind: "edge", key: edge.key });
    else return false;
    return true;
  }

  /** To the next node in a direction: within its column up and down, to the nearest column left and right. */
  step(node, key) {
    const [dx, dy] = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key];
    let best = null;
    let least = Infinity;
    for (const other of this.nodes.values()) {
      const [x, y] = [other.x - node.x, other.y - node.y];
      const ahead = dx ? x * dx : y * dy;
      const aside = Math.abs(dx ? y : x);
      if (other === node || ahead <= (dx ? half(BOX.w) : 0)) continue;
      const far = dx ? ahead * 3 + aside : ahead + aside * 6;
      if (far < least) [best, least] = [other, far];
    }
    if (best) this.nodeShapes.get(best.id).focus();
  }

  nudge(node, key) {
    const [dx, dy] = { ArrowUp: [0, -10], ArrowDown: [0, 10], ArrowLeft: [-10, 0], ArrowRight: [10, 0] }[key];
    this.moved.add(node.id);
    this.place(node.id, { x: Math.round(node.x + dx), y: Math.round(node.y + dy) });
    clearTimeout(this.nudged); // a held key is one report, not one rerun for each step
    this.nudged = setTimeout(() => this.report(), 350);
  }

  connectByKey(id) {
    if (this.data.read_only) return;
    const from = this.link;
    this.link = from === null ? id : null;
    this.over = null;
    if (from !== null && from !== id) this.connect(from, id);
    else this.draw();
  }

  edgesOf(id) {
    const height = (e) => this.nodes.get(e.source === id ? e.target : e.source).y;
    return [...this.shown.values()].filter((e) => e.source === id || e.target === id).sort((a, b) => height(a) - height(b));
  }

  intoEdges(id) {
    const [first] = this.edgesOf(id);
    this.around = id;
    if (first) this.edgeShapes.get(first.key).focus();
  }

  nextEdge(edge, step) {
    const around = [edge.source, edge.target].includes(this.around) ? this.around : edge.source;
    const ring = this.edgesOf(around);
    const at = ring.findIndex((e) => e.key === edge.key);
    this.edgeShapes.get(ring[(at + step + ring.length) % ring.length].key).focus();
  }

  // ---- what a curator does

  choose(what) {
    const same = what && this.chosen && what.kind === this.chosen.kind && what.key === this.chosen.key;
    if (same || (!what && !this.chosen)) return;
    this.chosen = what;
    this.draw();
    this.report();
  }

  take(tool) {
    this.tool = tool;
    this.draw();
  }

  connect(source, target) {
    this.propose({ kind: this.tool, source, target });
    const key = this.tool === "forbid" ? null : keyOf(source, target, TOOL_MARKS[this.tool]);
    if (key && this.edges.get(key)?.pending) this.choose({ kind: "edge", key });
  }

  act(name) {
    const edge = this.chosen?.kind === "edge" ? this.drawn().get(this.chosen.key) : null;
    const ends = edge && { source: edge.source, target: edge.target };
    const back = edge && { source: edge.target, target: edge.source };
    const simple = {
      in: () => this.zoom(1.2), out: () => this.zoom(1 / 1.2), fit: () => this.frame(0.15), tidy: () => this.tidy(),
      undo: () => this.propose({ kind: "undo" }, { reasoned: false }),
      redo: () => this.propose({ kind: "redo" }, { reasoned: false }),
      latent: () => this.open("latent"), close: () => this.close(), dismiss: () => this.hush(true),
      connect: () => {
        this.link = this.chosen?.key ?? null;
        this.draw();
        this.nodeShapes.get(this.link)?.focus({ preventScroll: true });
      },
      forbidden: () => {
        this.showForbidden = !this.showForbidden;
        this.refresh();
      },
    };
    if (simple[name]) simple[name]();
    else if (name === "delete" && this.nodes.get(this.chosen?.key)?.tier === "latent") this.propose({ kind: "delete-latent", node: this.chosen.key });
    else if (!edge) return;
    else if (name === "note") this.open("note");
    else if (name === "orient-back") this.propose({ kind: "orient", ...back });
    else if (name === "release") this.propose({ kind: "allow", ...ends });
    else if (name === "delete") this.propose({ kind: "delete", ...ends, mark: edge.mark });
    else this.propose({ kind: name, ...ends });
  }

  tidy() {
    this.moved.clear();
    this.arranged = false;
    this.refresh();
    this.report();
  }

  // ---- small windows and refusals

  open(which) {
    if (this.data.read_only) return;
    this.close(false);
    const form = this.$(`.${which}-form`);
    this.opener = this.root.querySelector(":focus");
    if (which === "note") {
      this.noted = this.drawn().get(this.chosen.key);
      this.$(".note-text").value = this.noted.note;
    } else {
      const box = this.$(".effects");
      box.replaceChildren();
      for (const node of this.nodes.values()) {
        if (node.tier === "latent") continue;
        const label = text("label", "", box);
        const tick = document.createElement("input");
        tick.type = "checkbox";
        tick.value = node.id;
        tick.checked = this.chosen?.kind === "node" && this.chosen.key === node.id;
        label.append(tick, node.id);
      }
      this.$(".latent-name").value = "";
    }
    form.hidden = false;
    this.pin();
    form.querySelector("textarea, input").focus();
  }

  close(refocus = true) {
    const open = this.root.querySelector(".popover:not([hidden])");
    if (!open) return;
    open.hidden = true;
    if (refocus) (this.opener?.isConnected && !this.opener.hidden ? this.opener : this.svg).focus({ preventScroll: true });
  }

  keepNote(e) {
    e.preventDefault();
    const { source, target, mark } = this.noted;
    this.close();
    this.propose({ kind: "note", source, target, mark, note: this.$(".note-text").value.trim() }, { reasoned: false });
  }

  addLatent(e) {
    e.preventDefault();
    const name = this.$(".latent-name").value.trim();
    const effects = [...this.$(".effects").querySelectorAll(":checked")].map((tick) => tick.value);
    this.close();
    this.propose({ kind: "add-latent", name: name.replace(/^latent\//, ""), effects });
  }

  /** Show refusals at the place of the last one. */
  refuse(news) {
    const last = this.outbox.places.get(news.at(-1).seq);
    this.bubbleAt = last?.source === undefined ? null : [last.source, last.target];
    const bubble = this.$(".bubble");
    this.$(".bubble .words").textContent = news.map((r) => r.words).join("\n");
    bubble.hidden = false;
    this.pin();
  }

  hush(refocus = false) {
    const bubble = this.$(".bubble");
    if (bubble.hidden) return;
    const focused = bubble.querySelector(":focus");
    bubble.hidden = true;
    this.$(".bubble .words").textContent = "";
    if (refocus && focused) this.svg.focus({ preventScroll: true });
  }

  /** Keep small windows at their edge while the drawing moves, and inside the stage. */
  pin() {
    const put = (box, ends) => {
      if (box.hidden) return;
      const [a, b] = (ends ?? []).map((id) => this.nodes.get(id));
      const { x, y, k } = this.camera;
      const middle = a && b ? { x: ((a.x + b.x) / 2) * k + x, y: ((a.y + b.y) / 2) * k + y } : { x: this.svg.clientWidth / 2, y: 40 };
      const [width, height] = [box.offsetWidth, box.offsetHeight];
      const above = middle.y - height - 14;
      const top = above < 8 ? middle.y + 14 : above;
      box.style.left = `${clamp(middle.x - width / 2, 8, Math.max(8, this.svg.clientWidth - width - 8))}px`;
      box.style.top = `${clamp(top, 8, Math.max(8, this.svg.clientHeight - height - 8))}px`;
    };
    put(this.$(".bubble"), this.bubbleAt);
    put(this.$(".note-form"), this.noted && [this.noted.source, this.noted.target]);
    put(this.$(".latent-form"), null);
  }
}

/** A sign on a disc; drawn because fonts may lack the glyph. */
function drawSign(g, kind) {
  shape("circle", { r: 8 }, g);
  if (kind === "lock") {
    shape("path", { d: "M-2.4 -0.6V-2.4a2.4 2.4 0 0 1 4.8 0V-0.6" }, g);
    shape("path", { class: "solid", d: "M-3.4 -0.6h6.8v4.6h-6.8z" }, g);
  } else if (kind === "note") {
    shape("path", { d: "M-3.6 -3h7.2v4.8h-4l-2 2v-2h-1.2z" }, g);
  } else {
    shape("path", { d: "M-3.2 3.2 3.2 -3.2" }, g);
  }
}

export default function ({ parentElement, data, setStateValue }) {
  let editor = INSTANCES.get(parentElement);
  if (!editor) INSTANCES.set(parentElement, (editor = new Editor(parentElement)));
  editor.update(data, setStateValue);
  // No cleanup is returned: all listeners sit on elements inside parentElement and go with it, and
  // Streamlit may call a superseded cleanup while the component is still on the page.
}
