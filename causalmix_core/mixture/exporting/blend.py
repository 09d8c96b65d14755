"""What is exported: a mixture, the pool it is drawn from, and the three things that trainers call a weight.

A mixture's weight is a part of the training *tokens*. Trainers that draw documents want a part of the
*rows*, and those that thin out a source want the part of it that is *kept*. Taking one for another is the
commonest mistake in data mixing: with documents of 200 and 4,000 tokens a 50:50 draw of rows is a 5:95
mixture of tokens. The conversions stand here, once; each format says which it writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import Mixture


@dataclass(frozen=True)
class DomainPool:
    """What the pool holds of one domain.

    Attributes:
        tokens: by the workspace's tokenizer, or as somebody counted them; None where the pool is not at hand.
        documents: number of documents; None where the pool is not at hand.
        mapped: where the trainer finds the domain, as somebody said it: files, folders, prefixes or names.
        text_field: field or column of the text in the mapped files.
        stored: the snapshot's own Parquet file of exactly the documents that were counted, their text in the
            column `text`; None where the pool is not at hand.
        source: where the workspace reads the domain from, for people.
    """

    tokens: int | None = None
    documents: int | None = None
    mapped: tuple[str, ...] = ()
    text_field: str = "text"
    stored: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Documents:
    """Files of documents, and the field or column that holds their text."""

    paths: tuple[str, ...]
    text_field: str


@dataclass(frozen=True)
class Blend:
    """A mixture ready to be written.

    Attributes:
        name: of the saved mixture.
        weights: part of the training tokens by domain; sums to one.
        pool: what there is of each domain of `weights`.
        token_budget: tokens of the training run.
        seed: for trainers that draw.
        splits: names of other splits (valid, test) -> paths by domain; may be empty.
        tokenizer: what counted the tokens of the pool, in words.
        origin: where the mixture comes from: snapshot, runs, graph, estimator, policy; plain values.
    """

    name: str
    weights: Mixture
    pool: Mapping[str, DomainPool]
    token_budget: int
    seed: int = 0
    splits: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    tokenizer: str = ""
    origin: Mapping[str, object] = field(default_factory=dict)

    @property
    def used(self) -> list[str]:
        """Domains with a weight above zero, sorted; trainers are not told of the others."""
        return sorted(d for d, w in self.weights.items() if w > 0)

    @property
    def used_weights(self) -> Mixture:
        """The weights above zero, in the order of `used`."""
        return {d: self.weights[d] for d in self.used}

    def tokens_per_document(self, domain: str) -> float:
        """Mean length of a domain's documents, in tokens.

        Raises:
            CausalMixError: nobody has counted the tokens and documents of the domain.
        """
        pool = self.pool[domain]
        if not pool.tokens or not pool.documents:
            raise CausalMixError(
                f"The tokens per document of {domain} are not known, and this format draws documents, not "
                "tokens. Give its counts with the export (command line: "
                f"`--count {domain}=TOKENS/DOCUMENTS`), or choose a format whose weights are parts of the "
                "tokens."
            )
        return pool.tokens / pool.documents

    def row_shares(self) -> dict[str, float]:
        """The part of the drawn documents by domain that gives this mixture of tokens; sums to one.

        Raises:
            CausalMixError: as `tokens_per_document`.
        """
        rows = self.rows()
        total = sum(rows.values())
        return {d: r / total for d, r in rows.items()}

    def rows(self) -> dict[str, float]:
        """How many documents of each used domain the training run reads, repetitions counted.

        Raises:
            CausalMixError: as `tokens_per_document`.
        """
        return {d: self.weights[d] * self.token_budget / self.tokens_per_document(d) for d in self.used}

    @property
    def knows_tokens(self) -> bool:
        """Whether the tokens of every used domain are known."""
        return all(self.pool[d].tokens for d in self.used)

    def epochs(self) -> dict[str, float]:
        """How often each domain's tokens are read: below 1 it is thinned out, above 1 repeated.

        Raises:
            CausalMixError: the tokens of a domain are not known.
        """
        found = {}
        for domain in self.used:
            tokens = self.pool[domain].tokens
            if not tokens:
                raise CausalMixError(
                    f"The tokens of {domain} are not known, so neither is how often it would be read. Give "
                    f"its counts with the export (command line: `--count {domain}=TOKENS/DOCUMENTS`), or "
                    "choose a format whose weights are parts of the tokens."
                )
            found[domain] = self.weights[domain] * self.token_budget / tokens
        return found
