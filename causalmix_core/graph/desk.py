"""A curator's desk: a draft on top of a saved revision, with undo and redo.

A desk is a value like the graph on it, so that a page can keep it between two clicks and nothing changes
under its hands. Each step keeps the whole graph before it; graphs share what did not change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from causalmix_core.graph.changes import describe_changes
from causalmix_core.graph.model import CausalGraph, GraphEditError
from causalmix_core.graph.operations import Operation, Redo, Undo, apply

MOST_STEPS = 200
"""Steps that can be taken back; the oldest are forgotten beyond that."""


@dataclass(frozen=True)
class Desk:
    """The graph that a curator is working on.

    Attributes:
        base: the graph as it was saved, which the changes are told against.
        parent: the revision of `base`; None when nothing is saved under this name.
        past: the graphs before, the oldest first.
        present: what is on the desk.
        future: the graphs that were taken back, the next one to redo first.
    """

    base: CausalGraph
    parent: int | None
    present: CausalGraph
    past: tuple[CausalGraph, ...] = ()
    future: tuple[CausalGraph, ...] = ()

    @classmethod
    def opened(cls, graph: CausalGraph, parent: int | None) -> Self:
        """A desk with a saved graph on it, or with a first one (`parent` None)."""
        return cls(base=graph, parent=parent, present=graph)

    def do(self, operation: Operation, *, by: str) -> Desk:
        """The desk after an operation.

        Raises:
            GraphEditError: the edit is refused, or there is nothing to undo or redo.
        """
        if isinstance(operation, Undo):
            return self.undo()
        if isinstance(operation, Redo):
            return self.redo()
        return self.put(apply(self.present, operation, by=by))

    def put(self, graph: CausalGraph) -> Desk:
        """The desk with another graph on it (discovered, imported, edited): one step that can be undone."""
        past = (*self.past, self.present)[-MOST_STEPS:]
        return replace(self, past=past, present=graph, future=())

    def undo(self) -> Desk:
        """The desk before the last step.

        Raises:
            GraphEditError: there is no step to take back.
        """
        if not self.past:
            raise GraphEditError("There is nothing to undo.")
        return replace(self, past=self.past[:-1], present=self.past[-1], future=(self.present, *self.future))

    def redo(self) -> Desk:
        """The desk after the step that was taken back last.

        Raises:
            GraphEditError: no step was taken back since the last change.
        """
        if not self.future:
            raise GraphEditError("There is nothing to redo.")
        return replace(self, past=(*self.past, self.present), present=self.future[0], future=self.future[1:])

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self.past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self.future)

    def changes(self) -> list[str]:
        """What differs from the saved graph, in words; empty when nothing does."""
        return describe_changes(self.base, self.present)

    def saved(self, revision: int) -> Desk:
        """The desk once its graph was saved as `revision`; earlier steps can still be taken back."""
        return replace(self, base=self.present, parent=revision)
