"""What a graph means for the estimate of one effect, in words, and the smallest edits that would mend it.

The editor asks after every edit, so all of this is graphical: the same criterion as `effects.identify`, which
asks dowhy, in a millisecond instead of seconds. A test holds the two together.

The weights are one decision. The effect of one weight on an outcome is therefore read from the joint
treatment of all weights that reach this outcome: it is identified when pool state that was measured closes
every other path between them and the outcome.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import networkx as nx
from pydantic import BaseModel, ConfigDict

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import LATENT, CausalGraph, Mark, tier_of
from causalmix_core.graph.operations import Delete, EditOperation, Orient, Reverse
from causalmix_core.graph.separation import (
    Arrow,
    OpenPath,
    Wiring,
    backdoor_graph,
    hidden,
    open_paths,
    reached,
    separated,
    smallest_separator,
)
from causalmix_core.probes import WEIGHT

Verdict = Literal["identified", "excluded", "not identified"]
Role = Literal[
    "common cause", "blocks", "collider", "no open path", "closed already", "not enough", "after the weight",
    "other weight", "not measured",
]  # fmt: skip
RemedyKind = Literal["measure", "orient", "reverse", "remove", "randomise"]

MOST_PATHS = 12
MOST_REMEDIES = 8
_MOST_PAIRS = 300
"""Pairs of edits that are tried: half a millisecond each."""
_NAMED = 6
"""Names in one enumeration; of more, the rest is counted."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Highlight(_Value):
    """What the editor marks: node ids, and edges as (source, target)."""

    nodes: tuple[str, ...] = ()
    edges: tuple[tuple[str, str], ...] = ()


class Variable(_Value):
    """Why one variable is held fixed, or is not."""

    id: str
    held_fixed: bool
    role: Role
    why: str


class Path(_Value):
    """A way other than its effect by which a weight and the outcome go together.

    Attributes:
        nodes: from the weight to the outcome.
        arrows: between them, one fewer.
        closed: whether holding the adjustment set fixed closes it.
        why: what closes it or keeps it open.
    """

    nodes: tuple[str, ...]
    arrows: tuple[Arrow, ...]
    edges: tuple[tuple[str, str], ...]
    closed: bool
    why: str

    @property
    def text(self) -> str:
        """`weight/code <- state/x -> loss/code`."""
        return OpenPath(self.nodes, self.arrows).text

    @property
    def highlight(self) -> Highlight:
        """All of its nodes and edges."""
        return Highlight(nodes=self.nodes, edges=self.edges)


class Remedy(_Value):
    """What would identify the effect.

    Attributes:
        kinds: what kind of step each is.
        operations: edits of the graph, to be applied in order; empty where the world has to change, not
            the graph: something is to be measured, or mixtures to be drawn at random.
        words: the same in words.
        highlight: the edges and nodes it is about.
    """

    kinds: tuple[RemedyKind, ...]
    operations: tuple[EditOperation, ...] = ()
    words: str
    highlight: Highlight = Highlight()


class Consequences(_Value):
    """What the graph says about the effect of one weight on one outcome.

    Attributes:
        weight: its id.
        outcome: its id.
        verdict: `excluded`: no path from this weight, so its own effect is zero by assumption.
        reason: the verdict in words.
        treatments: the weights with a path to the outcome, which are changed together; sorted.
        adjustment: what is held fixed; empty also where the effect is not identified. Sorted.
        variables: every other variable, with the reason why it is held fixed or not; those first that are.
        paths: ways other than the effect by which the weights and the outcome go together, shortest first.
        more_paths: whether there are more than were listed.
        modifiers: measured pool state with a path to the outcome; only these may change the effect.
        remedies: the smallest edits that would identify the effect; empty where it is.
        effect: the edges of the effect itself.
    """

    weight: str
    outcome: str
    verdict: Verdict
    reason: str
    treatments: tuple[str, ...]
    adjustment: tuple[str, ...]
    variables: tuple[Variable, ...]
    paths: tuple[Path, ...]
    more_paths: bool
    modifiers: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    effect: Highlight


def consequences(
    graph: CausalGraph, weight: str, outcome: str, observed: Collection[str] | None = None
) -> Consequences:
    """What a graph says about the effect of one weight on one outcome.

    Args:
        graph: the causal graph.
        weight: id of a weight.
        outcome: id of an outcome.
        observed: pool-state nodes that were measured; None: all of the graph.

    Raises:
        CausalMixError: the graph has no such weight or outcome.
    """
    if weight not in graph.tier("weight"):
        there = ", ".join(graph.tier("weight")) or "none"
        raise CausalMixError(f"The graph has no weight {weight}; it has: {there}.")
    view = _view(graph, outcome, observed)
    adjustment = view.adjustment()
    excluded = weight not in view.treatments
    paths, more = _paths(view, weight, adjustment)
    verdict: Verdict = (
        "excluded" if excluded else "identified" if adjustment is not None else "not identified"
    )
    return Consequences(
        weight=weight,
        outcome=outcome,
        verdict=verdict,
        reason=_reason(view, weight, verdict, adjustment, paths),
        treatments=view.treatments,
        adjustment=adjustment or (),
        variables=_variables(view, weight, adjustment),
        paths=paths,
        more_paths=more,
        modifiers=view.modifiers,
        remedies=_remedies(view, graph) if verdict == "not identified" else (),
        effect=_effect(view, weight),
    )


def what_changed(
    before: CausalGraph, after: CausalGraph, observed: Collection[str] | None = None
) -> list[str]:
    """What another graph changes in the estimates, one statement per line, such as
    `loss/code: domain web is now excluded`; empty where all estimates are made as before.

    Args:
        before: the graph to compare with, such as the saved revision.
        after: the graph on the desk.
        observed: pool-state nodes that were measured; None: all of each graph.
    """  # fmt: skip
    lines: list[str] = []
    old, new = Wiring.of(before), Wiring.of(after)
    for outcome in after.tier("outcome"):
        if outcome not in before.tier("outcome"):
            lines.append(f"{outcome}: is new in the graph")
            continue
        views = _view(before, outcome, observed, old), _view(after, outcome, observed, new)
        lines += [f"{outcome}: {words}" for words in _difference(*views)]
    lines += [
        f"{o}: is no longer in the graph" for o in before.tier("outcome") if o not in after.tier("outcome")
    ]
    return lines


def _difference(old: _View, new: _View) -> list[str]:
    held_before, held_now = old.adjustment(), new.adjustment()
    known = set(old.weights)
    lost = [w for w in old.treatments if w not in new.treatments]
    gained = [w for w in new.treatments if w not in old.treatments and w in known]
    fresh = [w for w in new.treatments if w not in known]
    lines = []
    if lost:
        lines.append(f"{_domains(lost)} now excluded: no effect of {_its(lost)} own")
    if gained:
        lines.append(f"{_domains(gained)} no longer excluded: {_its(gained)} own effect is estimated")
    if fresh:
        lines.append(f"{_domains(fresh)} new in the graph")
    if held_before is not None and held_now is None:
        path = _paths(new, new.treatments[0], None)[0]
        lines.append("the effect is no longer identified" + (f": {path[0].text} stays open" if path else ""))
    elif held_before is None and held_now is not None:
        lines.append(
            "the effect is now identified" + (f", with {_and(held_now)} held fixed" if held_now else "")
        )
    elif held_before is not None and held_now is not None:
        if dropped := [s for s in held_before if s not in held_now]:
            lines.append(f"{_and(dropped)} {_is(dropped)} no longer held fixed")
        if added := [s for s in held_now if s not in held_before]:
            lines.append(f"{_and(added)} {_is(added)} now held fixed")
    if silent := [s for s in old.modifiers if s not in new.modifiers]:
        lines.append(f"the effect can no longer differ by {_and(silent)}")
    if speaking := [s for s in new.modifiers if s not in old.modifiers]:
        lines.append(f"the effect may now differ by {_and(speaking)}")
    return lines


@dataclass(frozen=True)
class _View:
    """One outcome of a graph, as identification sees it."""

    wiring: Wiring
    outcome: str
    weights: tuple[str, ...]
    treatments: tuple[str, ...]
    measured: frozenset[str]
    """Pool state that was measured and does not come after a weight."""
    modifiers: tuple[str, ...]

    def backdoor(self) -> nx.DiGraph:
        """What is left of the wiring without the effect itself."""
        return backdoor_graph(self.wiring.dag, self.treatments, self.outcome)

    def adjustment(self) -> tuple[str, ...] | None:
        """A smallest set of measured pool state that closes every backdoor path; None if there is none."""
        if not self.treatments:
            return ()
        found = smallest_separator(self.backdoor(), self.treatments, self.outcome, self.measured)
        return None if found is None else tuple(sorted(found))

    def everything(self, dag: nx.DiGraph) -> frozenset[str]:
        """What closes all paths if anything does: the measured causes of weights and outcome."""
        return self.measured & reached(dag.pred, (*self.treatments, self.outcome))

    def identifies(self) -> bool:
        """Whether some adjustment set exists: then the measured causes of both are one."""
        dag = self.backdoor()
        return separated(dag, self.treatments, self.outcome, self.everything(dag))


def _view(
    graph: CausalGraph, outcome: str, observed: Collection[str] | None, wiring: Wiring | None = None
) -> _View:
    outcomes = graph.tier("outcome")
    if outcome not in outcomes:
        raise CausalMixError(f"The graph has no outcome {outcome}; it has: {', '.join(outcomes) or 'none'}.")
    wiring = wiring or Wiring.of(graph)
    # A direction that is not known cannot rule a path out; `has_path` of the graph walks both ways too.
    walk = wiring.dag.copy()
    walk.add_edges_from([(t, s) for s, t in wiring.open])
    before = reached(walk.pred, [outcome])
    weights = tuple(sorted(graph.tier("weight")))
    treatments = tuple(w for w in weights if w in before)
    states = [s for s in sorted(graph.tier("state")) if observed is None or s in observed]
    after = reached(wiring.dag.succ, treatments)
    return _View(
        wiring=wiring,
        outcome=outcome,
        weights=weights,
        treatments=treatments,
        measured=frozenset(states) - after,
        modifiers=tuple(s for s in states if s in before),
    )


def _paths(view: _View, weight: str, adjustment: tuple[str, ...] | None) -> tuple[tuple[Path, ...], bool]:
    """Backdoor paths that are open by themselves and, without a remedy, those that adjusting opens."""
    if not view.treatments:
        return (), False
    dag = view.backdoor()
    starts = sorted(view.treatments, key=lambda w: (w != weight, w))
    found, all_of_them = open_paths(view.wiring, dag, starts, view.outcome, (), MOST_PATHS)
    paths = []
    for p in found:
        inner = [v for v in p.nodes[1:-1] if v in view.measured]
        if adjustment is not None:
            closes = [v for v in inner if v in adjustment]
            paths.append(_path(p, True, f"closed by holding {_and(closes)} fixed"))
        elif inner:
            why = f"holding {_or(inner)} fixed would close it, but no choice closes every path"
            paths.append(_path(p, False, why))
        else:
            paths.append(_path(p, False, "nothing on it was measured, so nothing can close it"))
    if adjustment is None:
        held = view.everything(dag)
        opened, rest = open_paths(view.wiring, dag, starts, view.outcome, held, MOST_PATHS)
        all_of_them = all_of_them and rest
        for p in opened:
            if p not in found:
                colliders = [
                    v for a, v, b in zip(p.arrows, p.nodes[1:], p.arrows[1:], strict=False)
                    if a in ("->", "<->") and b in ("<-", "<->")
                ]  # fmt: skip
                paths.append(_path(p, False, f"opens as soon as {_and(colliders) or 'more'} is held fixed"))
    return tuple(paths[: 2 * MOST_PATHS]), not all_of_them


def _path(path: OpenPath, closed: bool, why: str) -> Path:
    return Path(nodes=path.nodes, arrows=path.arrows, edges=path.edges, closed=closed, why=why)


def _variables(view: _View, weight: str, adjustment: tuple[str, ...] | None) -> tuple[Variable, ...]:
    """Every variable but the two, with its role."""
    rows = []
    dag = view.backdoor()
    on_open = _on_open_paths(view, dag)
    for v in view.wiring.nodes:
        if v in (weight, view.outcome):
            continue
        if tier_of(v) == "weight":
            rows.append(Variable(id=v, held_fixed=False, role="other weight", why=_other_weight(view, v)))
        elif v in view.measured:
            rows.append(_state(view, dag, v, adjustment, on_open))
        elif tier_of(v) in ("latent", "state"):
            what = "a latent variable" if tier_of(v) == "latent" else "not measured in these runs"
            open_ = ", and it lies on an open path" if v in on_open else ""
            rows.append(
                Variable(
                    id=v, held_fixed=False, role="not measured", why=f"{what}: cannot be held fixed{open_}"
                )
            )
        else:
            why = "comes after the weight: holding it fixed would take away a part of the effect"
            rows.append(Variable(id=v, held_fixed=False, role="after the weight", why=why))
    return tuple(sorted(rows, key=lambda r: (not r.held_fixed, r.id)))


def _state(
    view: _View, dag: nx.DiGraph, v: str, adjustment: tuple[str, ...] | None, on_open: set[str]
) -> Variable:
    """The role of a measured pool state."""
    after = nx.descendants(dag, v)
    moved = [t for t in view.treatments if t in after]
    if adjustment is not None and v in adjustment:
        if moved and view.outcome in after:
            why = f"common cause of {_and(moved)} and {view.outcome}"
            return Variable(id=v, held_fixed=True, role="common cause", why=why)
        why = f"lies on a path between the weights and {view.outcome}, and closes it"
        return Variable(id=v, held_fixed=True, role="blocks", why=why)
    if adjustment is not None and not separated(dag, view.treatments, view.outcome, {*adjustment, v}):
        ends = _and([view.treatments[0] if len(view.treatments) == 1 else "the weights", view.outcome])
        why = f"collider: holding it fixed would open a path between {ends}"
        return Variable(id=v, held_fixed=False, role="collider", why=why)
    if v in on_open:
        if adjustment is None:
            why = "lies on an open path, but holding it fixed is not enough"
            return Variable(id=v, held_fixed=False, role="not enough", why=why)
        why = f"its paths are closed already by {_and(adjustment)}"
        return Variable(id=v, held_fixed=False, role="closed already", why=why)
    if moved:
        why = f"no open path: it moves {_and(moved)} but not {view.outcome}; holding it fixed costs precision"
    elif view.outcome in after:
        why = f"no open path: it moves {view.outcome} but no weight"
    else:
        why = f"no open path between the weights and {view.outcome} runs through it"
    return Variable(id=v, held_fixed=False, role="no open path", why=why)


def _on_open_paths(view: _View, dag: nx.DiGraph) -> set[str]:
    """Nodes on a backdoor path that is open by itself: it goes back to a common cause and down again."""
    if not view.treatments:
        return set()
    up_from_weights = reached(dag.pred, view.treatments)
    up_from_outcome = nx.ancestors(dag, view.outcome)
    tops = up_from_weights & up_from_outcome
    below = tops | reached(dag.succ, tops)
    return set((below & (up_from_weights | up_from_outcome)) - set(view.treatments))


def _other_weight(view: _View, v: str) -> str:
    if v in view.treatments:
        return "part of the same decision: all weights that reach the outcome are changed together"
    return f"another weight without a path to {view.outcome}"


def _reason(
    view: _View,
    weight: str,
    verdict: Verdict,
    adjustment: tuple[str, ...] | None,
    paths: Sequence[Path],
) -> str:
    outcome = view.outcome
    if verdict == "excluded":
        if not view.treatments:
            return (
                f"No weight has a path to {outcome}, so no mixture changes it: the effect is zero by "
                "assumption."
            )
        return (
            f"{weight} has no path to {outcome}, so its own effect is zero by assumption. More of it still "
            "takes the place of other domains, and that part stays."
        )
    if verdict == "identified":
        if adjustment:
            return (
                f"Holding {_and(adjustment)} fixed closes every other path between the weights and "
                f"{outcome}; what remains is the effect."
            )
        return f"Nothing moves both the weights and {outcome}: their differences are the effect."
    first = next((p for p in paths if not p.closed), None)
    said = f"{first.text} stays open: {first.why}. " if first else ""
    if first and first.nodes[0] != weight:
        said += f"The weights are one decision, so this concerns {weight} too. "
    return f"{said}What is estimated is association, not effect."


def _effect(view: _View, weight: str) -> Highlight:
    """Nodes and edges on directed paths from the weight to the outcome."""
    dag = view.wiring.dag
    if weight not in view.treatments:
        return Highlight(nodes=(weight, view.outcome))
    between = (nx.descendants(dag, weight) | {weight}) & (nx.ancestors(dag, view.outcome) | {view.outcome})
    edges = sorted((s, t) for s, t in dag.edges if s in between and t in between)
    return Highlight(nodes=tuple(sorted(between)), edges=tuple(edges))


@dataclass(frozen=True)
class _Step:
    """One step towards identification: an edit of an edge as it is drawn, or a variable to measure."""

    kind: RemedyKind
    source: str
    target: str = ""
    arrow: Arrow = "->"

    def apply(self, view: _View) -> _View | None:
        """The view after it; None if its graph would have a cycle."""
        if self.kind == "measure":
            return replace(view, measured=view.measured | {self.source})
        if self.kind == "remove":
            shared = self.arrow == "<->"
            return replace(view, wiring=view.wiring.without(self.source, self.target, shared=shared))
        turned = view.wiring.turned(self.source, self.target)
        return None if turned is None else replace(view, wiring=turned)

    @property
    def words(self) -> str:
        if self.kind == "measure":
            pair = self.source.removeprefix(LATENT).split(" <-> ")
            return f"measure {self.source}" if len(pair) == 1 else f"measure what causes both {_and(pair)}"
        drawn = f"{self.source} {self.arrow} {self.target}"
        if self.kind == "orient":
            return f"orient {drawn} as {self.target} -> {self.source}"
        return f"{self.kind} {drawn}"

    @property
    def operations(self) -> tuple[EditOperation, ...]:
        if self.kind == "remove":
            mark: Mark | None = "bidirected" if self.arrow == "<->" else None
            return (Delete(source=self.source, target=self.target, mark=mark),)
        if self.kind == "reverse":
            return (Reverse(source=self.source, target=self.target),)
        if self.kind == "orient":
            return (Orient(source=self.target, target=self.source),)
        return ()


_ORDER: tuple[RemedyKind, ...] = ("measure", "orient", "reverse", "remove")
"""Knowledge first: an edit must be true, and the fewest people know that an arrow does not exist."""


def _remedies(view: _View, graph: CausalGraph) -> tuple[Remedy, ...]:
    """Single steps that identify the effect, or else pairs of steps; and what always does."""
    steps = _steps(view, graph)
    found: list[tuple[_Step, ...]] = [
        (s,) for s in steps if (after := s.apply(view)) is not None and after.identifies()
    ]
    found = found or list(islice(_pairs(view, graph, steps), MOST_REMEDIES))
    remedies = [
        Remedy(
            kinds=tuple(s.kind for s in some),
            operations=()
            if any(s.kind == "measure" for s in some)
            else sum((s.operations for s in some), ()),
            words=", and ".join(s.words for s in some),
            highlight=Highlight(
                nodes=tuple(s.source for s in some if s.kind == "measure" and " <-> " not in s.source),
                edges=tuple((s.source, s.target) for s in some if s.target),
            ),
        )
        for some in found[:MOST_REMEDIES]
    ]
    chance = "draw the mixtures of new probes at random: then only chance moves a weight"
    return (*remedies, Remedy(kinds=("randomise",), words=chance))


def _pairs(view: _View, graph: CausalGraph, steps: Sequence[_Step]) -> Iterator[tuple[_Step, _Step]]:
    """Pairs of steps that identify the effect together; no step of them does alone."""
    tried = set[frozenset[_Step]]()
    for first in steps:
        between = first.apply(view)
        if between is None:
            continue
        for second in _steps(between, graph):
            if {second.source, second.target} == {first.source, first.target}:
                continue
            pair = frozenset((first, second))
            if pair in tried:
                continue
            if len(tried) >= _MOST_PAIRS:
                return
            tried.add(pair)
            after = second.apply(between)
            if after is not None and after.identifies():
                yield first, second


def _steps(view: _View, graph: CausalGraph) -> list[_Step]:
    """What can be done about the edges and nodes of the shortest open paths, the mildest first."""
    dag = view.backdoor()
    by_themselves, _ = open_paths(view.wiring, dag, view.treatments, view.outcome, (), MOST_PATHS)
    held = view.everything(dag)
    in_spite, _ = open_paths(view.wiring, dag, view.treatments, view.outcome, held, MOST_PATHS)
    steps = set[_Step]()
    forbidden = {(f.source, f.target) for f in graph.forbidden}
    for path in (*by_themselves, *in_spite):
        for arrow, (source, target) in zip(path.arrows, path.edges, strict=True):
            if arrow == "<->":
                steps.add(_Step("measure", hidden((min(source, target), max(source, target)))))
            if arrow == "-" and (source, target) not in view.wiring.open:
                source, target = target, source
            mark: Mark = "bidirected" if arrow == "<->" else "undirected" if arrow == "-" else "directed"
            drawn = graph.edge_between(source, target, mark)
            if drawn is None or drawn.status == "required":
                continue
            shown: Arrow = "->" if arrow == "<-" else arrow
            steps.add(_Step("remove", source, target, shown))
            among_states = tier_of(source) == tier_of(target) == "state"
            if among_states and arrow != "<->" and (target, source) not in forbidden:
                steps.add(_Step("orient" if arrow == "-" else "reverse", source, target, shown))
        for v in path.nodes[1:-1]:
            if v not in view.measured and tier_of(v) in ("latent", "state"):
                steps.add(_Step("measure", v))
    return sorted(steps, key=lambda s: (_ORDER.index(s.kind), s.source, s.target))


def _and(names: Iterable[str]) -> str:
    return _list(names, "and")


def _or(names: Iterable[str]) -> str:
    return _list(names, "or")


def _list(names: Iterable[str], last: str) -> str:
    names = list(names)
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}" if names else ""


def _domains(weights: Sequence[str]) -> str:
    """`domain web is`, `domains web and wiki are`."""
    names = _and(w.removeprefix(WEIGHT) for w in weights)
    return f"domain {names} is" if len(weights) == 1 else f"domains {names} are"


def _its(names: Sequence[str]) -> str:
    return "its" if len(names) == 1 else "their"


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
