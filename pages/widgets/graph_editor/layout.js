/**
 * Where the nodes of a causal graph stand and how its edges run: pure functions of plain values.
 *
 * Nodes stand in one column per tier, in the order of time. Within a column they are ordered by the
 * barycentre of their neighbours (Sugiyama, Tagawa and Toda 1981), so that few edges cross. An edge that passes a
 * column runs through a gap between two boxes, never behind one, so that no edge seems to end where it
 * passes. All lengths are in units of the drawing: pixels at a zoom of 1.
 */
const BOX = { w: 172, h: 28 };
const PITCH = 40; // distance of two rows of a full column
const ROOMY = 58; // and of a column with few nodes
const HEAD = 7; // length of an arrowhead
const STEPS = 14; // straight pieces that stand for one cubic when we measure distances

const half = (n) => n / 2;
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

/** Distance of two rows of the fullest column, which has `tall` of them. */
const pitchFor = (tall) => clamp(600 / tall, PITCH, ROOMY);

/** Pairs of edges that cross between columns: `rows` of their ends, taken two by two. */
function crossings(columns, edges) {
  const place = new Map();
  columns.forEach((column, c) => column.forEach((id, i) => place.set(id, [c, (i + 0.5) / column.length])));
  const ends = edges.map(({ source, target }) => {
    const a = place.get(source);
    const b = place.get(target);
    return a[0] <= b[0] ? [a[0], a[1], b[0], b[1]] : [b[0], b[1], a[0], a[1]];
  });
  let count = 0;
  for (let i = 0; i < ends.length; i++) {
    for (let j = 0; j < i; j++) {
      const [a, b] = [ends[i], ends[j]];
      if (a[0] === b[0] && a[2] === b[2] && (a[1] - b[1]) * (a[3] - b[3]) < 0) count += 1;
    }
  }
  return count;
}

/** The columns of ids, reordered so that few of `edges` cross; ties keep the order they came in. */
function untangle(columns, edges) {
  const across = edges.filter(
    ({ source, target }) => columns.findIndex((c) => c.includes(source)) !== columns.findIndex((c) => c.includes(target)),
  );
  const near = new Map(columns.flat().map((id) => [id, []]));
  for (const { source, target } of across) {
    near.get(source).push(target);
    near.get(target).push(source);
  }
  const counted = across.length <= 600; // counting is quadratic; beyond, the last sweep is taken as it is
  let best = columns.map((column) => [...column]);
  let least = counted ? crossings(best, across) : Infinity;
  const now = columns.map((column) => [...column]);
  for (let sweep = 0; sweep < 10 && least > 0; sweep++) {
    const order = sweep % 2 ? [...now.keys()].reverse() : [...now.keys()];
    for (const c of order) {
      const height = new Map();
      for (const column of now) column.forEach((id, i) => height.set(id, (i + 0.5) / column.length));
      const centre = (id) => {
        const others = near.get(id);
        return others.length ? others.reduce((sum, other) => sum + height.get(other), 0) / others.length : height.get(id);
      };
      const centres = new Map(now[c].map((id) => [id, centre(id)]));
      now[c].sort((a, b) => centres.get(a) - centres.get(b));
    }
    const count = counted ? crossings(now, across) : 0;
    if (count < least || !counted) {
      least = count || (counted ? 0 : Infinity);
      best = now.map((column) => [...column]);
    }
  }
  return best;
}

/**
 * Where each node stands.
 *
 * @param nodes [{id, tier}], in any order.
 * @param edges [{source, target}] between them.
 * @param tiers ids of the tiers, in the order of time; tiers without a node get no column.
 * @param width the room, so that columns spread over it.
 * @returns Map from id to {x, y}; the drawing is centred on 0, 0.
 */
function arrange(nodes, edges, tiers, width) {
  const columns = tiers.map((tier) => nodes.filter((n) => n.tier === tier).map((n) => n.id)).filter((c) => c.length);
  const ordered = untangle(columns, edges);
  const tall = Math.max(1, ...ordered.map((c) => c.length));
  const room = (width - BOX.w - 120) / Math.max(1, ordered.length - 1);
  const apart = clamp(room, BOX.w + 76, BOX.w + 290);
  const places = new Map();
  ordered.forEach((column, c) => {
    const pitch = Math.min(PITCH * 1.8, (pitchFor(tall) * tall) / column.length);
    column.forEach((id, i) => {
      places.set(id, { x: (c - half(ordered.length - 1)) * apart, y: (i - half(column.length - 1)) * pitch });
    });
  });
  return places;
}

/** A free place in the column at `x` for a node that comes later: below what stands there. */
function placeBelow(places, x) {
  const column = [...places.values()].filter((p) => Math.abs(p.x - x) < BOX.w);
  return { x, y: column.length ? Math.max(...column.map((p) => p.y)) + PITCH : 0 };
}

/** The columns of boxes as they stand now, also after nodes were moved: [{x0, x1, gaps: [[from, to]]}]. */
function standing(nodes) {
  const sorted = [...nodes].sort((a, b) => a.x - b.x);
  const groups = [];
  for (const node of sorted) {
    const last = groups.at(-1);
    if (last && node.x - last[0].x < BOX.w) last.push(node);
    else groups.push([node]);
  }
  return groups.map((group) => {
    const ys = group.map((n) => n.y).sort((a, b) => a - b);
    const gaps = [[-Infinity, ys[0] - half(BOX.h)]];
    for (let i = 1; i < ys.length; i++) gaps.push([ys[i - 1] + half(BOX.h), ys[i] - half(BOX.h)]);
    gaps.push([ys.at(-1) + half(BOX.h), Infinity]);
    const xs = group.map((n) => n.x);
    return {
      x0: Math.min(...xs) - half(BOX.w), x1: Math.max(...xs) + half(BOX.w),
      gaps: gaps.filter(([from, to]) => to - from > 7),
    };
  });
}

/** The gap of a column through which an edge passes that would otherwise cross it at `y`. */
function passage(column, y) {
  const away = ([from, to]) => Math.abs(clamp(y, from, to) - y);
  return column.gaps.reduce((best, gap) => (away(gap) < away(best) ? gap : best));
}

/** Give the edges that pass one gap heights of their own, in the order in which they would cross the column. */
function share([from, to], passing) {
  passing.sort((a, b) => a.wanted - b.wanted);
  const step = passing.length > 1 ? Math.min(4, (to - from - 6) / (passing.length - 1)) : 0;
  const span = step * (passing.length - 1);
  const margin = Math.min(10, (to - from - span) * 0.4);
  const mean = passing.reduce((sum, p) => sum + p.wanted, 0) / passing.length;
  const first = clamp(mean - half(span), from + margin, to - margin - span);
  passing.forEach((p, i) => (p.y = first + i * step));
}

/**
 * How each edge runs.
 *
 * @param nodes Map from id to {x, y, tier}.
 * @param edges [{key, source, target, mark}].
 * @returns Map from key to {d, curves, heads: [[x, y, angle, size]], open}: the path and its cubics, the arrowheads, and
 *   the cubics on which a mark can sit.
 */
function routes(nodes, edges) {
  const columns = standing(nodes.values());
  const plans = edges.map((edge) => plan(edge, nodes.get(edge.source), nodes.get(edge.target), columns));
  const gaps = new Map();
  for (const crossing of plans.flatMap((p) => p.via)) {
    if (!gaps.has(crossing.gap)) gaps.set(crossing.gap, []);
    gaps.get(crossing.gap).push(crossing);
  }
  for (const [gap, passing] of gaps) share(gap, passing);
  const sides = new Map(); // the ends that share one side of a box are spread over it, in the order of where they go
  for (const p of plans) {
    for (const end of [p.from, p.to]) {
      end.towards = end.next ? end.next.y : end.other.y;
      const side = `${end.side}${end.node.id}`;
      if (!sides.has(side)) sides.set(side, []);
      sides.get(side).push(end);
    }
  }
  for (const ends of sides.values()) {
    ends.sort((a, b) => a.towards - b.towards);
    const step = ends.length > 1 ? Math.min(6, (BOX.h - 10) / (ends.length - 1)) : 0;
    ends.forEach((end, i) => {
      end.y = end.node.y + (i - half(ends.length - 1)) * step;
      end.size = ends.length > 1 ? clamp(step / 5, 0.55, 1) : 1; // where many arrive, smaller heads stay apart
    });
  }
  return new Map(plans.map((p) => [p.edge.key, trace(p)]));
}

function plan(edge, a, b, columns) {
  const gap = b.x - a.x;
  if (Math.abs(gap) < BOX.w) {
    const side = a.tier === "outcome" ? 1 : -1; // towards the outside, where nothing else runs
    return {
      edge, arc: true, via: [],
      from: { node: a, side, other: b },
      to: { node: b, side, other: a },
    };
  }
  const way = Math.sign(gap);
  const via = [];
  for (const column of way > 0 ? columns : [...columns].reverse()) {
    if (column.x0 < Math.min(a.x, b.x) + half(BOX.w) || column.x1 > Math.max(a.x, b.x) - half(BOX.w)) continue;
    const wanted = a.y + ((b.y - a.y) * (half(column.x0 + column.x1) - a.x)) / gap;
    const [near, far] = way > 0 ? [column.x0 - 8, column.x1 + 8] : [column.x1 + 8, column.x0 - 8];
    via.push({ gap: passage(column, wanted), wanted, near, far });
  }
  return {
    edge, arc: false, via, way,
    from: { node: a, side: way, next: via[0], other: b },
    to: { node: b, side: -way, next: via.at(-1), other: a },
  };
}

function trace({ edge, arc, via, way, from, to }) {
  const atSource = edge.mark === "bidirected" ? HEAD : 0;
  const atTarget = edge.mark === "undirected" ? 0 : HEAD;
  const x1 = from.node.x + from.side * (half(BOX.w) + atSource);
  const x2 = to.node.x + to.side * (half(BOX.w) + 1 + atTarget);
  const curves = [];
  if (arc) {
    const out = 30 + Math.min(64, Math.abs(from.y - to.y) * 0.34);
    const x = from.side > 0 ? Math.max(x1, x2) + out : Math.min(x1, x2) - out;
    curves.push([x1, from.y, x, from.y, x, to.y, x2, to.y]);
  } else {
    const passed = via.flatMap(({ near, far, y }) => [[near, y], [far, y]]);
    const points = [[x1, from.y], ...passed, [x2, to.y]];
    for (let i = 1; i < points.length; i++) {
      const [[ax, ay], [bx, by]] = [points[i - 1], points[i]];
      const reach = Math.abs(bx - ax) * 0.45 * way;
      curves.push([ax, ay, ax + reach, ay, bx - reach, by, bx, by]);
    }
  }
  const d = `M${curves[0][0]} ${curves[0][1]}` + curves.map((c) => `C${c.slice(2).join(" ")}`).join("");
  const heads = [];
  if (atTarget) heads.push([x2, to.y, to.side > 0 ? 180 : 0, to.size]);
  if (atSource) heads.push([x1, from.y, from.side > 0 ? 180 : 0, from.size]);
  return { d, curves, heads, open: arc ? curves : [curves[0], curves.at(-1)] }; // never in a passage
}

/** Points where a mark can sit on a route, best first. */
const spots = (route) => route.open.flatMap((c) => [0.5, 0.4, 0.6, 0.3, 0.7].map((t) => onCurve(c, t)));

/** A route as short straight pieces; made when first asked for. */
function pieces(route) {
  if (!route.line) {
    route.line = [[route.curves[0][0], route.curves[0][1]]];
    for (const c of route.curves) for (let i = 1; i <= STEPS; i++) route.line.push(onCurve(c, i / STEPS));
  }
  return route.line;
}

function onCurve([ax, ay, bx, by, cx, cy, dx, dy], t) {
  const u = 1 - t;
  const mix = (p, q, r, s) => u * u * u * p + 3 * u * u * t * q + 3 * u * t * t * r + t * t * t * s;
  return [mix(ax, bx, cx, dx), mix(ay, by, cy, dy)];
}

/** Distance of a point from a line of straight pieces. */
function distance(line, { x, y }) {
  let least = Infinity;
  for (let i = 1; i < line.length; i++) {
    const [[ax, ay], [bx, by]] = [line[i - 1], line[i]];
    const [dx, dy] = [bx - ax, by - ay];
    const t = clamp(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1), 0, 1);
    least = Math.min(least, Math.hypot(x - ax - t * dx, y - ay - t * dy));
  }
  return least;
}
