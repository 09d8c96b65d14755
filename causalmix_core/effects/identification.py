"""What the graph says about the effect of the mixture on one outcome, in words a curator understands.

The weights are one decision, so they are identified as one joint treatment: which of them can reach the
outcome at all, and which pool-state variables must be held fixed so that what remains is their effect.
Identification and its check are dowhy's; see `identify` for why not by its one-call function. Latents, and
bidirected edges as the latents that they stand for, are causes that nothing can hold fixed.
"""

from __future__ import annotations

from collections.abc import Collection

import networkx as nx
from pydantic import BaseModel, ConfigDict

from causalmix_core.errors import CausalMixError
from causalmix_core.graph.model import BIDIRECTED, LATENT, CausalGraph, tier_of

OBJECTIVE = "objective"
"""The weighted mean of the losses, as an outcome; lower is better."""


class Identification(BaseModel):
    """What can be estimated about one outcome, and how.

    Attributes:
        outcome: the outcome's node.
        treatments: weights with a directed path to the outcome, sorted.
        excluded: weights without one; they have no effect of their own under this graph. Sorted.
        adjustment: pool-state nodes to hold fixed, a smallest sufficient set, sorted.
        modifiers: pool-state nodes with a directed path to the outcome: only these may change the
            effect. Sorted.
        held: what an estimate holds fixed: the adjustment set and the modifiers, whose part in the outcome
            would otherwise be noise. Sorted. Where nothing identifies the effect, all that was measured.
        identified: whether the effect follows from what is measured.
        reason: all of this in words.
    """

    model_config = ConfigDict(frozen=True)

    outcome: str
    treatments: tuple[str, ...]
    excluded: tuple[str, ...]
    adjustment: tuple[str, ...]
    modifiers: tuple[str, ...]
    held: tuple[str, ...]
    identified: bool
    reason: str


def identify(graph: CausalGraph, outcome: str, observed: Collection[str] | None = None) -> Identification:
    """Identify the joint effect of all weights on `outcome`.

    The adjustment set is a minimal separator of weights and outcome in the proper backdoor graph (van
    der Zander, Liskiewicz and Textor 2014), which dowhy builds; dowhy's own check of the backdoor
    criterion then has to accept it. dowhy's one-call `identify_effect_auto` answers "zero" for the joint
    treatment as soon as one weight has no path, cannot tell "nothing to adjust for" from "not
    identified", and its answer depends on the order of a set.

    Args:
        graph: the causal graph.
        outcome: id of an outcome node.
        observed: pool-state nodes that were measured; None: all of the graph. Latents never are.

    Raises:
        CausalMixError: the graph has no such outcome.
    """
    outcomes = [n.id for n in graph.nodes if n.tier == "outcome"]
    if outcome not in outcomes:
        raise CausalMixError(
            f"The graph has no outcome {outcome}; it has: {', '.join(outcomes) or 'none'}. "
            "Use a graph of these runs, or discover it again."
        )
    weights = sorted(n.id for n in graph.nodes if n.tier == "weight")
    states = sorted(n.id for n in graph.nodes if n.tier == "state")
    measured = states if observed is None else [s for s in states if s in set(observed)]
    treatments = tuple(w for w in weights if graph.has_path(w, outcome))
    excluded = tuple(w for w in weights if w not in treatments)
    modifiers = tuple(s for s in measured if graph.has_path(s, outcome))
    adjustment: tuple[str, ...] | None = ()
    held: tuple[str, ...] = modifiers
    confounders: list[str] = []
    if treatments:
        dag = graph.to_networkx()
        adjustment = _adjustment_set(dag, treatments, outcome, measured)
        if adjustment is None:
            confounders = _confounders(dag, treatments, outcome, measured)
            held = tuple(measured)
        else:
            held = tuple(sorted({*adjustment, *modifiers}))
            if not _blocks(dag, treatments, outcome, held):
                held, modifiers = adjustment, tuple(m for m in modifiers if m in adjustment)
    return Identification(
        outcome=outcome,
        treatments=treatments,
        excluded=excluded,
        adjustment=adjustment or (),
        modifiers=modifiers,
        held=held,
        identified=adjustment is not None,
        reason=_reason(outcome, treatments, excluded, adjustment, confounders),
    )


def _adjustment_set(
    dag: nx.DiGraph, treatments: tuple[str, ...], outcome: str, measured: list[str]
) -> tuple[str, ...] | None:
    """A smallest set of measured pool states that blocks every backdoor path; None if there is none."""
    from dowhy.graph import get_proper_backdoor_graph

    backdoor = get_proper_backdoor_graph(dag, list(treatments), [outcome])
    # What a weight causes may not be held fixed: that would remove a part of its effect.
    downstream = set().union(*(nx.descendants(dag, t) for t in treatments))
    allowed = set(measured) - downstream
    separator = nx.find_minimal_d_separator(backdoor, set(treatments), {outcome}, restricted=allowed)
    if separator is None:
        return None
    chosen = tuple(sorted(separator))
    return chosen if _blocks(dag, treatments, outcome, chosen) else None


def _blocks(dag: nx.DiGraph, treatments: tuple[str, ...], outcome: str, held: tuple[str, ...]) -> bool:
    """Whether holding these fixed blocks every backdoor path, by dowhy's check."""
    from dowhy.graph import check_valid_backdoor_set, get_proper_backdoor_graph

    verdict = check_valid_backdoor_set(
        dag,
        list(treatments),
        [outcome],
        list(held),
        new_graph=get_proper_backdoor_graph(dag, list(treatments), [outcome]),
        dseparation_algo="default",
    )
    return bool(verdict["is_dseparated"])


def _confounders(
    dag: nx.DiGraph, treatments: tuple[str, ...], outcome: str, measured: list[str]
) -> list[str]:
    """The unmeasured nodes to blame, sorted: those that cause weights and outcome past all that is measured.

    Where none does, a measured state that has to be held fixed opens a path between two unmeasured causes;
    then all that cause either.
    """
    hidden = sorted(v for v in dag if tier_of(v) in ("state", "latent") and v not in measured)
    past = dag.subgraph(set(dag) - set(measured))
    causes = nx.ancestors(past.subgraph(set(past) - set(treatments)), outcome)
    both = [v for v in hidden if v in causes and not nx.descendants(past, v).isdisjoint(treatments)]
    either = set(treatments) | {outcome}
    return both or [v for v in hidden if not nx.descendants(dag, v).isdisjoint(either)]


def _reason(
    outcome: str,
    treatments: tuple[str, ...],
    excluded: tuple[str, ...],
    adjustment: tuple[str, ...] | None,
    confounders: list[str],
) -> str:
    if not treatments:
        return f"No weight has a path to {outcome} in the graph, so no mixture changes it: the effect is 0."
    if adjustment is None:
        return (
            f"Not identified: something that causes both the weights and {outcome} was not measured in "
            f"the runs ({', '.join(map(_as_drawn, confounders))}). What is shown is association. "
            "Measure it, or draw the mixtures at random."
        )
    parts = []
    if adjustment:
        parts.append(
            f"{', '.join(adjustment)} may influence both the weights and {outcome}; holding "
            f"{'it' if len(adjustment) == 1 else 'them'} fixed leaves the effect of the weights."
        )
    else:
        parts.append(f"Nothing in the graph influences both the weights and {outcome}: no adjustment needed.")
    if len(excluded) == 1:
        parts.append(f"{excluded[0]} has no path to {outcome}, so no effect of its own.")
    elif excluded:
        parts.append(f"{', '.join(excluded)} have no path to {outcome}, so no effects of their own.")
    return " ".join(parts)


def _as_drawn(node: str) -> str:
    """A latent that stands for a bidirected edge is shown as that edge."""
    return node.removeprefix(LATENT) if BIDIRECTED in node else node
