"""What a browser or a file may ask of a graph: a closed set of operations, checked at the border.

The values come from a program that a user can change, so they are strict: a field too many, a number in
place of a name or an unknown kind is refused before any edit runs. `apply` then turns an operation into
a call of one of the edit functions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from causalmix_core.graph import edits
from causalmix_core.graph.model import LONGEST_ID, CausalGraph, Mark

LONGEST_TEXT = 2000
"""Characters of a reason or a note."""

NodeId = Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
Words = Annotated[str, Field(max_length=LONGEST_TEXT)]


class _Operation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _OnPair(_Operation):
    source: NodeId
    target: NodeId
    why: Words = ""


class Add(_OnPair):
    """Draw `source -> target`."""

    kind: Literal["add"] = "add"


class Bidirect(_OnPair):
    """Draw `source <-> target`: a latent that is not drawn causes both."""

    kind: Literal["bidirect"] = "bidirect"


class Delete(_OnPair):
    """Remove an edge."""

    kind: Literal["delete"] = "delete"
    mark: Mark | None = None
    """Which one, where a bidirected edge runs beside another; None: the other one."""


class Reverse(_OnPair):
    """Turn `source -> target` into `target -> source`."""

    kind: Literal["reverse"] = "reverse"


class Orient(_OnPair):
    """Give the undirected edge between the two the direction `source -> target`."""

    kind: Literal["orient"] = "orient"


class Require(_OnPair):
    """Make `source -> target` an edge that must stay."""

    kind: Literal["require"] = "require"


class Forbid(_OnPair):
    """Remove `source -> target` for good."""

    kind: Literal["forbid"] = "forbid"


class Allow(_OnPair):
    """Make `source -> target` neither required nor forbidden."""

    kind: Literal["allow"] = "allow"


class Note(_Operation):
    """Write a note on an edge, in place of the one before."""

    kind: Literal["note"] = "note"
    source: NodeId
    target: NodeId
    note: Words
    mark: Mark | None = None
    """Which edge, where a bidirected one runs beside another; None: the other one."""


class AddLatent(_Operation):
    """Add a cause that no run measures."""

    kind: Literal["add-latent"] = "add-latent"
    name: NodeId
    # JSON has no tuples, so a list is as strict as it gets.
    effects: Annotated[tuple[NodeId, ...], Field(strict=False)] = ()
    why: Words = ""


class DeleteLatent(_Operation):
    """Remove a latent and its edges."""

    kind: Literal["delete-latent"] = "delete-latent"
    node: NodeId
    why: Words = ""


class Undo(_Operation):
    """Take the last step back."""

    kind: Literal["undo"] = "undo"


class Redo(_Operation):
    """Do the last undone step again."""

    kind: Literal["redo"] = "redo"


EditOperation = (
    Add | Bidirect | Delete | Reverse | Orient | Require | Forbid | Allow | Note | AddLatent | DeleteLatent
)
Operation = EditOperation | Undo | Redo

_BORDER: TypeAdapter[Operation] = TypeAdapter(Annotated[Operation, Field(discriminator="kind")])


def parse_operation(value: object) -> Operation:
    """An operation from what a browser sent (dicts, lists, strings).

    Raises:
        pydantic.ValidationError: it is none.
    """
    return _BORDER.validate_python(value)


def apply(graph: CausalGraph, operation: EditOperation, *, by: str) -> CausalGraph:
    """The graph after an operation.

    Args:
        graph: what to edit.
        operation: anything but undo and redo, which are a desk's.
        by: who does it.

    Raises:
        GraphEditError: the edit is refused; the message says why.
    """
    match operation:
        case Add(source=s, target=t, why=why):
            return edits.add_edge(graph, s, t, by=by, why=why)
        case Bidirect(source=s, target=t, why=why):
            return edits.add_bidirected(graph, s, t, by=by, why=why)
        case Delete(source=s, target=t, why=why, mark=mark):
            return edits.delete_edge(graph, s, t, mark=mark, by=by, why=why)
        case Reverse(source=s, target=t, why=why):
            return edits.reverse_edge(graph, s, t, by=by, why=why)
        case Orient(source=s, target=t, why=why):
            return edits.orient_edge(graph, s, t, by=by, why=why)
        case Require(source=s, target=t, why=why):
            return edits.require_edge(graph, s, t, by=by, why=why)
        case Forbid(source=s, target=t, why=why):
            return edits.forbid_edge(graph, s, t, by=by, why=why)
        case Allow(source=s, target=t, why=why):
            return edits.allow_edge(graph, s, t, by=by, why=why)
        case Note(source=s, target=t, note=note, mark=mark):
            return edits.note_edge(graph, s, t, note, mark=mark, by=by)
        case AddLatent(name=name, effects=effects, why=why):
            return edits.add_latent(graph, name, effects, by=by, why=why)
        case DeleteLatent(node=node, why=why):
            return edits.delete_latent(graph, node, by=by, why=why)
