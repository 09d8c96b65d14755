"""Text of a domain, evenly spread over it: enough to train a tokenizer or to count with one.

The training documents of a domain, one after another, are a stretch of bytes. Pieces of it are taken at equal
distances, so that long documents are represented by their length and none of them fills the sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from causalmix_core.corpus.snapshot import Snapshot

PIECE = 16 << 10
"""Bytes of a piece."""


def training_documents(snapshot: Snapshot, domain: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the training documents of a domain, ascending, and the bytes of each."""
    with snapshot.connect() as con:
        rows = con.execute(
            "SELECT document, bytes::BIGINT AS bytes FROM documents "
            "WHERE domain = ? AND split = 'train' ORDER BY document",
            [domain],
        ).fetchnumpy()
    return np.asarray(rows["document"], np.int64), np.asarray(rows["bytes"], np.int64)


def spread_text(snapshot: Snapshot, domain: str, budget: int) -> Iterator[str]:
    """Pieces of the training documents of a domain, evenly spread, the same every time.

    Args:
        snapshot: whose documents.
        domain: which domain.
        budget: bytes to take at most; all of the text where it is no longer.

    Raises:
        CausalMixError: a file is damaged.
    """
    from causalmix_core.corpus.document_texts import document_texts

    documents, sizes = training_documents(snapshot, domain)
    total = int(sizes.sum())
    pieces = max(1, budget // PIECE)
    length = min(PIECE, budget)
    period = total / pieces if total > budget else 0.0
    stops = np.cumsum(sizes)
    starts = stops - sizes
    if period:
        # A piece begins at every multiple of the period. Which documents does one reach into?
        before = np.floor(starts / period)
        reached = (starts < before * period + length) | ((before + 1) * period < stops)
        chosen = np.flatnonzero(reached)
    else:
        chosen = np.arange(len(documents))
    texts = document_texts(snapshot.documents_file(domain), documents[chosen])
    for row, (_, text) in zip(chosen.tolist(), texts, strict=True):
        if not period:
            yield text
            continue
        raw, start, stop = text.encode(), int(starts[row]), int(stops[row])
        for number in range(int(start // period), int(stop // period) + 1):
            first = int(number * period) - start
            part = raw[max(0, first) : max(0, first + length)]
            if part:
                yield part.decode(errors="ignore")  # characters that are cut through are left out
