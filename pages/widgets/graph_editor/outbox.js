/**
 * The edits that Python has not acknowledged yet, and what the graph looks like if it accepts them.
 *
 * Every message carries all of them with their numbers, so that none is lost when reruns overlap; Python
 * skips the numbers that it has seen. The preview only draws: whether an edit is allowed is decided by
 * Python alone, and a refused edit disappears with the next update.
 */
class Outbox {
  constructor() {
    this.client = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");
    this.last = 0;
    this.waiting = []; // [{seq, operation}]
    this.places = new Map(); // seq -> operation, so that a refusal is shown where the edit was made
  }

  push(operation) {
    this.last += 1;
    this.waiting.push({ seq: this.last, operation });
    this.places.set(this.last, operation);
    if (this.places.size > 60) this.places.delete(this.places.keys().next().value);
  }

  acknowledge(seq) {
    this.waiting = this.waiting.filter((item) => item.seq > seq);
  }

  message(session) {
    return { session, client: this.client, operations: [...this.waiting] };
  }
}

/** A pair of nodes has at most one edge and one bidirected edge, so that this names it, also when it is reversed. */
const keyOf = (a, b, mark) => (mark === "bidirected" ? "both " : "") + JSON.stringify([a, b].sort());
const forbiddenKey = (a, b) => `forbidden ${JSON.stringify([a, b])}`;

/** The graph as it is drawn: nodes, edges and forbidden pairs by key, with the waiting edits on top. */
function previewed(data, waiting) {
  const nodes = new Map(data.nodes.map((n) => [n.id, { ...n }]));
  const edges = new Map(data.edges.map((e) => [keyOf(e.source, e.target, e.mark), { ...e, key: keyOf(e.source, e.target, e.mark) }]));
  const forbidden = new Map(
    data.forbidden.map((f) => [forbiddenKey(f.source, f.target), { ...f, key: forbiddenKey(f.source, f.target), mark: "forbidden" }]),
  );
  for (const { operation } of waiting) foresee(operation, nodes, edges, forbidden);
  return { nodes, edges, forbidden };
}

function foresee(op, nodes, edges, forbidden) {
  if (op.source !== undefined && !(nodes.has(op.source) && nodes.has(op.target))) return;
  const fresh = (source, target, mark) => ({
    key: keyOf(source, target, mark), source, target, mark, origin: "added", words: "added by you",
    stability: null, status: "plain", note: "", pending: true,
  });
  const draw = (edge) => edges.set(edge.key, edge);
  const change = (thing, what) => thing && Object.assign(thing, { ...what, pending: true });
  const link = op.source === undefined ? undefined : edges.get(keyOf(op.source, op.target, "directed"));
  const named = op.mark === "bidirected" ? edges.get(keyOf(op.source, op.target, op.mark)) : link;
  const ban = forbidden.get(forbiddenKey(op.source, op.target));
  const foreseen = {
    add: () => (!link || link.mark === "undirected") && draw(fresh(op.source, op.target, "directed")),
    bidirect: () => edges.has(keyOf(op.source, op.target, "bidirected")) || draw(fresh(op.source, op.target, "bidirected")),
    delete: () => change(named, { leaving: true }),
    reverse: () => link && change(link, { source: link.target, target: link.source, mark: "directed" }),
    orient: () => change(link, { source: op.source, target: op.target, mark: "directed" }),
    require: () => change(link, { status: "required" }),
    note: () => change(named, { note: op.note }),
    forbid: () => {
      if (link?.source === op.source || link?.mark === "undirected") change(link, { leaving: true });
      const key = forbiddenKey(op.source, op.target);
      forbidden.set(key, { key, source: op.source, target: op.target, mark: "forbidden", words: "forbidden by you", pending: true });
    },
    allow: () => (ban ? change(ban, { leaving: true }) : change(link, { status: "plain" })),
    "add-latent": () => {
      const id = `latent/${op.name}`;
      nodes.set(id, { id, tier: "latent", label: op.name, prefix: "", pending: true });
      for (const effect of op.effects) if (nodes.has(effect)) draw(fresh(id, effect, "directed"));
    },
    "delete-latent": () => {
      const node = nodes.get(op.node);
      if (node) node.leaving = true;
      for (const edge of edges.values()) if (edge.source === op.node) change(edge, { leaving: true });
    },
  };
  foreseen[op.kind]?.();
}
