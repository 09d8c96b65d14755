"""What proxies read: the pool as tokens, the sub-pool of each probe, and its sequences.

Every probe trains on its own sub-pool, so that the swarm shows how effects depend on the pool's state.
A sub-pool is drawn by *tilting*: a document's chance to be kept grows or falls exponentially with its
standardised features. The random part of the draw is the same for all probes of a swarm, and so is the
order of the documents that are kept (common random numbers: the difference between two probes comes from
their mixtures and tilts, not from luck).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.token_files import TokenisedText, tokenise
from causalmix_core.proxy.tokens import ByteTokens, Tokens

GOLDEN = 0.6180339887498949
KEPT = 0.5
"""Part of a domain's training tokens that a sub-pool keeps."""


@dataclass(frozen=True)
class DomainTokens:
    """The training documents of one domain.

    Attributes:
        tokens: all documents one after another, unsigned, shape (total,).
        starts: where each document begins, and the total: shape (documents + 1,).
        features: pool-state features per document, shape (documents, p), as they are; NaN where a document
            has no value.
        sizes: what each document counts in the pool state, shape (documents,): its bytes, as in
            `Snapshot.state`, whatever its tokens are. None: its tokens.
    """

    tokens: np.ndarray
    starts: np.ndarray
    features: np.ndarray
    sizes: np.ndarray | None = None

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, features: Sequence[str], tokens: Tokens | None = None
    ) -> DomainTokens:
        """Tokenise `frame` (columns text and `features`), one row per document; by default into bytes."""
        return cls.of(tokenise(frame["text"].tolist(), tokens or ByteTokens()), frame, features)

    @classmethod
    def of(cls, text: TokenisedText, frame: pd.DataFrame, features: Sequence[str]) -> DomainTokens:
        """Documents that are tokenised already, and their rows in `frame`."""
        sizes = frame["bytes"].to_numpy(np.int64) + 1 if "bytes" in frame else None
        return cls(text.tokens, text.starts, frame[list(features)].to_numpy(float), sizes)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per document."""
        return np.diff(self.starts)


@dataclass(frozen=True)
class SubPool:
    """The documents of each domain that one probe may read, in reading order, and their state."""

    order: dict[str, np.ndarray]
    state: dict[str, float]


@dataclass(frozen=True)
class TokenPool:
    """The tokens of a snapshot: training documents and fixed held-out windows per domain.

    Attributes:
        train: training documents by domain.
        heldout: windows of one sequence by domain, int64, shape (windows, sequence_length).
        feature_names: names of the pool-state features, in the order of `DomainTokens.features`.
        seed: decides the shared random part of all sub-pools.
        sizes: by domain, bytes of text that each token of the windows stands for, as `heldout`; left out for
            a pool that nothing is measured on.
        tokens: the tokenizer that made the pool.
    """

    train: dict[str, DomainTokens]
    heldout: dict[str, np.ndarray]
    feature_names: tuple[str, ...]
    seed: int
    sizes: dict[str, np.ndarray] = field(default_factory=dict)
    tokens: Tokens = field(default_factory=ByteTokens)

    def sub_pool(self, tilt: Mapping[str, float]) -> SubPool:
        """Draw the sub-pool of one probe.

        Documents are ranked by `tilt . z + Gumbel noise`, where z are features standardised within
        the domain; the best `KEPT` of the tokens stay (weighted sampling without replacement,
        Efraimidis and Spirakis 2006, in its Gumbel form). The pool state is the mean of each feature,
        weighted by the bytes of the documents, over all that stay, of all domains; it does not depend on the
        mixture.

        Args:
            tilt: feature name -> strength, in standard deviations; absent means 0.
        """
        slope = np.array([tilt.get(f, 0.0) for f in self.feature_names])
        order: dict[str, np.ndarray] = {}
        total = np.zeros(len(self.feature_names))
        weight = np.zeros(len(self.feature_names))
        for number, (domain, docs) in enumerate(sorted(self.train.items())):
            rng = np.random.default_rng([self.seed, number])
            luck, reading = rng.gumbel(size=len(docs.lengths)), rng.random(len(docs.lengths))
            ranked = np.argsort(-(_standardised(docs.features) @ slope + luck), kind="stable")
            reached = np.cumsum(docs.lengths[ranked])
            kept = ranked[: 1 + int(np.searchsorted(reached, KEPT * reached[-1]))]
            order[domain] = kept[np.argsort(reading[kept], kind="stable")]
            known = np.isfinite(docs.features[kept])
            sizes = (docs.lengths if docs.sizes is None else docs.sizes)[kept]
            total += sizes @ np.where(known, docs.features[kept], 0.0)
            weight += sizes @ known
        return SubPool(order, dict(zip(self.feature_names, (total / weight).tolist(), strict=True)))

    def sequences(
        self, sub_pool: SubPool, mixture: Mapping[str, float], count: int, length: int
    ) -> np.ndarray:
        """The training sequences of one probe, in order: unsigned, shape (count, length).

        Sequence n comes from the domain at `frac((n + 1/2) * golden ratio)` of the cumulated mixture,
        which keeps the realised weights within a few sequences of the wanted ones at any time. Within
        a domain the documents follow one another without padding and begin anew when they are used up.
        """
        domains = sorted(mixture)
        edges = np.cumsum([mixture[d] for d in domains])
        edges[-1] = 1.0
        point = (np.arange(count) + 0.5) * GOLDEN % 1.0
        choice = np.searchsorted(edges, point, side="right")
        out = np.empty((count, length), dtype=self.tokens.dtype)
        for k, domain in enumerate(domains):
            rows = np.flatnonzero(choice == k)
            if len(rows):
                stream = _stream(self.train[domain], sub_pool.order[domain], len(rows) * length)
                out[rows] = stream.reshape(len(rows), length)
        return out


def _standardised(features: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and variance 1 over the documents that have a value; 0 for those that have none."""
    known = np.isfinite(features)
    count = np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, features - np.where(known, features, 0.0).sum(axis=0) / count, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    standardised: np.ndarray = centred / np.where(spread > 0, spread, 1.0)
    return standardised


def _stream(docs: DomainTokens, order: np.ndarray, needed: int) -> np.ndarray:
    """The first `needed` tokens of the documents in `order`, repeated when they are too few."""
    reached = np.cumsum(docs.lengths[order])
    enough = order[: 1 + int(np.searchsorted(reached, needed))]
    pieces = np.concatenate([docs.tokens[docs.starts[i] : docs.starts[i + 1]] for i in enough])
    repeated: np.ndarray = np.resize(pieces, needed)
    return repeated


def heldout_windows(
    frame: pd.DataFrame, length: int, windows: int, tokens: Tokens | None = None
) -> np.ndarray:
    """Cut held-out documents into at most `windows` windows of `length` tokens, evenly spread.

    Args:
        frame: held-out documents with a column text.
        length: tokens per window; all but the first are predicted.
        windows: how many windows at most.
        tokens: the tokenizer; by default of bytes.

    Returns:
        int64, shape (windows, length).

    Raises:
        CausalMixError: the documents hold fewer tokens than one window.
    """
    text = tokenise(frame["text"].tolist(), tokens or ByteTokens(), sized=True)
    return cut_windows(text, length, windows)[0]


def cut_windows(text: TokenisedText, length: int, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of held-out documents that are tokenised already, evenly spread.

    Args:
        text: the documents.
        length: tokens per window; all but the first are predicted.
        windows: how many windows at most.

    Returns:
        The windows, int64, and the bytes of text that each of their tokens stands for, both of shape
        (windows, length).

    Raises:
        CausalMixError: the documents hold fewer tokens than one window.
    """
    available = len(text.tokens) // length
    if not available:
        raise CausalMixError(
            f"The held-out documents hold {len(text.tokens)} tokens, fewer than one sequence of {length}. "
            "Add documents to the domain or choose a proxy with shorter sequences."
        )
    chosen = np.unique(np.linspace(0, available - 1, min(windows, available)).astype(int))
    whole = available * length
    return (
        text.tokens[:whole].reshape(available, length)[chosen].astype(np.int64),
        text.sizes[:whole].reshape(available, length)[chosen].astype(np.int64),
    )
