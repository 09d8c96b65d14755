"""The weights on the sliders, how they came about, and the way back: kept in the session.

The browser moves the sliders; the program learns of it by a release. Whoever reads or changes what is held
takes the newest release in first, also in a callback: a press just after a release is about what was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import streamlit as st

from causalmix_core.mixture import Constraints, Mixture, Suggestion
from causalmix_core.mixture.store import Asked
from causalmix_core.question import Question
from pages.widgets.mixture_sliders import from_units, last_released, to_units

SLIDERS = "sliders"
_STACK = "mixture"
MOST_STEPS = 50
RADIUS = 0.25
CONSTRAINTS, NO_HARM, SURE, STEP = "mixture_constraints", "mixture_no_harm", "mixture_sure", "mixture_step"


@dataclass(frozen=True)
class Held:
    """A mixture on the sliders.

    Attributes:
        weights: the mixture.
        asked: what a policy was asked that gave it; its policy is `manual` where a curator set the weights.
        locked: domains that stay while others move.
        notes: what the policy said of it.
        stay: whether the policy's answer was to stay.
        source: where else it came from, in words; empty where the sliders or a policy set it.
    """

    weights: Mixture
    asked: Asked = field(default_factory=Asked)
    locked: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    stay: bool = False
    source: str = ""


@dataclass(frozen=True)
class Stack:
    """What is held now, what was before, and what was taken back.

    Attributes:
        now: on the sliders.
        revision: counts how often the program, not the curator, has set the sliders.
        past: the way back, the newest last.
        future: what was taken back, the newest last.
    """

    now: Held
    revision: int = 1
    past: tuple[Held, ...] = ()
    future: tuple[Held, ...] = ()

    def moved(self, now: Held, *, by_program: bool) -> Stack:
        """One step on."""
        return Stack(now, self.revision + by_program, (*self.past, self.now)[-MOST_STEPS:])


def stack_of(question: Question) -> Stack:
    """What this session holds; the reference at first, and when the domains are others than before."""
    kept: Stack | None = st.session_state.get(_STACK)
    if kept is None or set(kept.now.weights) != set(question.runs.domains):
        revision = kept.revision + 1 if kept else 1
        st.session_state[_STACK] = Stack(Held(dict(question.reference)), revision)
        for name in (CONSTRAINTS, NO_HARM):
            st.session_state.pop(name, None)
    return _at_reference(_settled(), question)


def _at_reference(stack: Stack, question: Question) -> Stack:
    """Sliders that were put back to the reference stand at it exactly, not at its rounding to whole units."""
    here, reference = stack.now.weights, question.reference
    if here != reference and to_units(here) == to_units(reference):
        stack = replace(stack, now=replace(stack.now, weights=dict(reference)))
        st.session_state[_STACK] = stack
    return stack


def now() -> Held:
    """What is held, in a callback."""
    return _settled().now


def _settled() -> Stack:
    """Take in what the sliders released last."""
    stack: Stack = st.session_state[_STACK]
    domains = sorted(stack.now.weights)
    released = last_released(domains, key=SLIDERS, revision=stack.revision)
    if released is not None:
        if released.units != to_units(stack.now.weights):
            moved = Held(from_units(released.units), locked=released.locked)
            stack = stack.moved(moved, by_program=False)
        elif released.locked != stack.now.locked:
            stack = replace(stack, now=replace(stack.now, locked=released.locked))
        st.session_state[_STACK] = stack
    return stack


def put(held: Held) -> None:
    """Set the sliders from the program's side; locks stay."""
    stack = _settled()
    held = replace(held, locked=stack.now.locked)
    st.session_state[_STACK] = stack.moved(held, by_program=True)


def put_suggestion(found: Suggestion, asked: Asked) -> None:
    """Set the sliders to what a policy proposes."""
    put(Held(found.mixture, asked, notes=found.notes, stay=found.stay))


def undo() -> None:
    """One step back."""
    stack = _settled()
    if stack.past:
        st.session_state[_STACK] = Stack(
            stack.past[-1], stack.revision + 1, stack.past[:-1], (*stack.future, stack.now)
        )


def redo() -> None:
    """One step on again."""
    stack = _settled()
    if stack.future:
        st.session_state[_STACK] = Stack(
            stack.future[-1], stack.revision + 1, (*stack.past, stack.now), stack.future[:-1]
        )


def constraints() -> Constraints:
    """What this session asks of suggestions, but for budget and locks."""
    kept: Constraints | None = st.session_state.get(CONSTRAINTS)
    return Constraints(radius=RADIUS) if kept is None else kept


def change_constraints(change: Callable[[Constraints], Constraints]) -> None:
    """Keep other constraints."""
    st.session_state[CONSTRAINTS] = change(constraints())


def no_harm() -> dict[str, float]:
    """Outcomes that may not get worse, and by how much they may all the same."""
    return dict(st.session_state.get(NO_HARM, {}))


def step() -> float:
    """How far to go from the reference to what a policy proposes."""
    return float(st.session_state.get(STEP, 100)) / 100


def full_constraints(budget: int, held: Held) -> Constraints:
    """The constraints with the budget of the training run and the locks of the sliders."""
    return constraints().model_copy(
        update={"token_budget": budget, "locked": {d: held.weights[d] for d in sorted(held.locked)}}
    )


def asked_for(budget: int, held: Held) -> Asked:
    """What the trust region is asked: all that this session has set."""
    return Asked(
        policy="trust_region",
        constraints=full_constraints(budget, held),
        confidence=bool(st.session_state.get(SURE, True)),
        no_harm=no_harm(),
        step=step(),
    )


def asked_by_hand(budget: int, held: Held) -> Asked:
    """What stands for the curator's own setting: the constraints and protections as they are."""
    return asked_for(budget, replace(held, locked=frozenset())).model_copy(
        update={"policy": "manual", "step": 1.0}
    )
