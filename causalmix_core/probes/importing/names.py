"""Names: from the headers of other tools to columns of the run table, and back.

The run table's columns are the nodes of the causal graph, so a header such as
`metric/the_pile_arxiv_val_loss` becomes `loss/arxiv`. The header is kept in the provenance and stays a name
by which the column can be asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.outcomes import BENCHMARK, BENCHMARK_LOSS, BITS, LOSS, Direction

LONGEST_NAME = 64
UNKNOWN = "outcome/"
"""Prefix of an outcome whose direction nobody has said yet; it cannot be imported so."""
LABELS = frozenset({"index", "run", "run_id", "run id", "id", "name", "probe"})
"""Headers that number or name the rows of a table."""
_LOWER = re.compile(r"(^|[^a-z])(val_?loss|loss|nll|ce|cross_?entropy|ppl|perplexity|bpb|bits?_per_byte|bpc|"
                    r"error|err|rmse|mae|mse|wer|cer)([^a-z]|$)")  # fmt: skip
_HIGHER = re.compile(r"(^|[^a-z])(acc|acc_norm|accuracy|f1|em|exact_?match|bleu|rouge[0-9l]?|score|pass@?\d*|"
                     r"auc|auroc|map|mrr|recall|precision|win_?rate)([^a-z]|$)")  # fmt: skip
_LOSS = re.compile(r"(^|[^a-z])(val_?loss|loss|nll|ce|cross_?entropy)([^a-z]|$)")
_SEPARATORS = "/._-: "


def clean_name(text: str) -> str:
    """A header as a name that can be a file, a column and a node: letters, digits, `.`, `_`, `-`."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("_.-")
    return name[:LONGEST_NAME].rstrip("_.-") or "column"


def direction_in(header: str) -> Direction | None:
    """The direction that a header tells: losses, perplexities and errors fall, accuracies rise."""
    text = re.sub(r"([a-z])([A-Z])", r"\1_\2", header).lower()
    lower, higher = _LOWER.search(text), _HIGHER.search(text)
    if bool(lower) == bool(higher):
        return None
    return "lower" if lower else "higher"


def outcome_column(header: str, name: str, direction: Direction | None) -> str:
    """The column of an outcome: by its direction, and `loss/` where the header speaks of a loss."""
    if direction is None:
        return UNKNOWN + name
    if direction == "higher":
        return BENCHMARK + name
    return (LOSS if _LOSS.search(header.lower()) else BENCHMARK_LOSS) + name


def short_names(headers: Sequence[str], known: Iterable[str] = ()) -> dict[str, str]:
    """Short names of headers that belong together, no two alike.

    A header that contains a known name between separators is called so (`metric/the_pile_arxiv_val_loss`:
    `arxiv`). Of the others, what all headers begin and end with is cut off.

    Args:
        headers: of one kind: all weights, or all outcomes.
        known: names of domains.

    Returns:
        header -> name.
    """
    by_length = sorted(known, key=len, reverse=True)
    stripped = _without_common_ends(headers)
    names = {h: next((d for d in by_length if _holds(h, d)), clean_name(stripped[h])) for h in headers}
    for shorten in (lambda h: clean_name(stripped[h]), clean_name):
        counts = Counter(names.values())
        names = {h: shorten(h) if counts[n] > 1 else n for h, n in names.items()}
    counts = Counter(names.values())
    return {h: n if counts[n] == 1 else f"{n[:58]}-{i}" for i, (h, n) in enumerate(names.items(), 1)}


def _holds(header: str, name: str) -> bool:
    return re.search(rf"(^|[^A-Za-z0-9]){re.escape(name)}([^A-Za-z0-9]|$)", header) is not None


def _without_common_ends(headers: Sequence[str]) -> dict[str, str]:
    """Headers without the beginning and the ending that they share, cut at a separator."""
    if len(headers) < 2:
        return {h: h for h in headers}
    start = _common(headers)
    end = _common([h[::-1] for h in headers])
    cut = {h: h[start : len(h) - end] for h in headers}
    return cut if all(cut.values()) else {h: h for h in headers}


def _common(texts: Sequence[str]) -> int:
    """Length of the longest common beginning that ends in a separator."""
    length = 0
    for i, letters in enumerate(zip(*texts, strict=False), start=1):
        if len(set(letters)) > 1:
            break
        if letters[0] in _SEPARATORS:
            length = i
    return length


def resolve_outcome(name: str, outcomes: Sequence[str], headers: Mapping[str, str] | None = None) -> str:
    """The outcome that a name means.

    Args:
        name: a column (`loss/arxiv`), what follows its prefix (`arxiv`), or the header that it had in the
            file it was imported from.
        outcomes: columns to choose among.
        headers: header -> column, from the provenance of an import.

    Raises:
        CausalMixError: no outcome has this name, or several have; the message lists them.
    """
    if name in outcomes:
        return name
    if headers and headers.get(name) in outcomes:
        return headers[name]
    prefixes = (LOSS, BENCHMARK, BENCHMARK_LOSS, BITS)
    meant = [o for o in outcomes if any(o == prefix + name for prefix in prefixes)]
    if len(meant) == 1:
        return meant[0]
    if meant:
        raise CausalMixError(f"{name} may mean {' or '.join(meant)}. Say which.")
    raise CausalMixError(f"The runs have no outcome {name}. Outcomes: {', '.join(outcomes)}.")
