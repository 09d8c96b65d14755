"""Which documents a curator looks at: conditions that live in the address of the page.

A selection is checked in three steps. Its shape is checked when it is made or read from an address; its
names are checked against the snapshot when it becomes SQL; its values reach DuckDB as parameters, never as
part of the query.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from causalmix_core.corpus.features import FEATURES, POOL_FEATURES
from causalmix_core.corpus.sql import identifier
from causalmix_core.errors import CausalMixError

Duplicates = Literal["any", "without_near", "only_near", "without_exact"]
"""`without_near` leaves the first document of each near-duplicate cluster, `only_near` the others,
`without_exact` the first of each text."""
SplitName = Literal["train", "heldout"]
SearchKind = Literal["text", "regex"]

DUPLICATES_SQL: dict[Duplicates, str] = {
    "any": "TRUE",
    "without_near": "NOT near_duplicate",
    "only_near": "near_duplicate",
    "without_exact": "NOT exact_duplicate",
}
MAX_URL = 8_000
"""Characters; browsers and proxies cut longer addresses."""
_MAX_JSON = 64_000
# Numbers by type that are no measurement.
_KEYS = ("document", "text_key", "cluster")
_FLAGS = {name for name, feature in (FEATURES | POOL_FEATURES).items() if feature.kind == "flag"}
_NUMBERS = ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT")
_NUMBER_TYPES = {*_NUMBERS, *(f"U{n}" for n in _NUMBERS)}

Number = Annotated[float, Field(allow_inf_nan=False)]
Words = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True)
class Columns:
    """What the view `documents` of a snapshot has.

    Attributes:
        features: columns with a number per document, measured ones included.
        rules: BOOLEAN columns, true where the document breaks the rule.
        flags: BOOLEAN columns that say something else, such as near_duplicate.
        domains: names of the domains.
        singles: the features that are stored as FLOAT; a bound such as 0.3 has to be rounded as they are.
    """

    features: tuple[str, ...]
    rules: tuple[str, ...]
    flags: tuple[str, ...]
    domains: tuple[str, ...]
    singles: frozenset[str] = frozenset()

    def check_feature(self, name: str) -> str:
        """Return the name as SQL writes it.

        Raises:
            CausalMixError: there is no such numeric feature.
        """
        return self._check(name, self.features, "numeric feature")

    def check_rule(self, name: str) -> str:
        """As `check_feature`, for rules."""
        return self._check(name, self.rules, "rule")

    def check_domain(self, name: str) -> str:
        """Return the name of a domain.

        Raises:
            CausalMixError: there is no such domain.
        """
        self._check(name, self.domains, "domain")
        return name

    def _check(self, name: str, known: tuple[str, ...], what: str) -> str:
        if name not in known:
            raise CausalMixError(
                f"The snapshot has no {what} {name!r}. It has: {', '.join(known) or 'none'}."
            )
        return identifier(name)


def columns_of(con: duckdb.DuckDBPyConnection) -> Columns:
    """Features, rules and domains that a connection of `Snapshot.connect()` knows."""
    described = con.execute("DESCRIBE documents").fetchall()
    booleans = [r[0] for r in described if r[1] == "BOOLEAN"]
    return Columns(
        features=tuple(r[0] for r in described if r[1] in _NUMBER_TYPES and r[0] not in _KEYS),
        rules=tuple(name for name in booleans if name not in _FLAGS),
        flags=tuple(name for name in booleans if name in _FLAGS),
        domains=tuple(r[0] for r in con.execute("SELECT domain FROM domains ORDER BY domain").fetchall()),
        singles=frozenset(r[0] for r in described if r[1] == "FLOAT"),
    )


@dataclass(frozen=True)
class Where:
    """A condition on the view `documents`.

    Attributes:
        sql: an expression with named parameters.
        parameters: their values; every one occurs in `sql`.
    """

    sql: str
    parameters: dict[str, Any]


class Search(BaseModel):
    """What a text must contain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=1000)
    kind: SearchKind = "text"
    """`regex`: a regular expression as RE2 has them, found anywhere in the text."""
    case: bool = False
    """Upper and lower case differ."""


class Selection(BaseModel):
    """Which documents; a document is selected where every condition holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    domains: tuple[Words, ...] = ()
    """Empty: all."""
    ranges: dict[Words, tuple[Number | None, Number | None]] = {}
    """Feature -> lowest and highest value, both included; a document without a value is outside."""
    breaks_any: tuple[Words, ...] = ()
    """Rules of which at least one is broken."""
    breaks_none: tuple[Words, ...] = ()
    """Rules of which none is broken; a rule that cannot be decided is not broken."""
    duplicates: Duplicates = "any"
    split: SplitName | None = None
    languages: tuple[Words, ...] = ()
    """Empty: all."""
    search: Search | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Selection:
        for feature, (low, high) in self.ranges.items():
            if low is not None and high is not None and low > high:
                raise ValueError(f"the range of {feature} ends ({high:g}) before it starts ({low:g})")
        return self

    def with_range(self, feature: str, low: float | None, high: float | None) -> Selection:
        """The selection with another range of a feature; no bound at all removes it.

        Raises:
            CausalMixError: a bound is not finite, or they are in the wrong order.
        """
        ranges = {f: r for f, r in self.ranges.items() if f != feature}
        if low is not None or high is not None:
            ranges[feature] = (low, high)
        try:
            return Selection.model_validate({**self.model_dump(), "ranges": ranges})
        except ValidationError as error:
            raise CausalMixError(_words(error)) from error

    def without_search(self) -> Selection:
        """The selection less what the text must contain."""
        return self.model_copy(update={"search": None})

    def to_url(self) -> str:
        """The selection as letters, digits, `-` and `_`; empty when it selects everything.

        Raises:
            CausalMixError: it does not fit into an address.
        """
        if self == Selection():
            return ""
        data = self.model_dump_json(exclude_defaults=True).encode()
        packed = base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")
        if len(packed) > MAX_URL or len(data) > _MAX_JSON:
            raise CausalMixError("The selection is too long for an address. Use fewer or shorter conditions.")
        return packed

    @classmethod
    def from_url(cls, url: str) -> Selection:
        """Read what `to_url` wrote; the empty string selects everything.

        Raises:
            CausalMixError: the string is cut, mistyped or not a selection.
        """
        if not url:
            return cls()
        try:
            return cls.model_validate_json(_unpack(url))
        except (ValueError, zlib.error, binascii.Error) as error:
            raise CausalMixError(
                "The selection in the address cannot be read; it may be cut or from another version. Start "
                "again from all documents."
            ) from error

    def where(self, columns: Columns) -> Where:
        """The selection as SQL on the view `documents`, less `search`, which needs the texts.

        Raises:
            CausalMixError: it names a domain, a feature or a rule that the snapshot does not have.
        """
        terms: list[str] = []
        parameters: dict[str, Any] = {}

        def bound(value: float | str) -> str:
            name = f"s{len(parameters)}"
            parameters[name] = value
            return f"${name}"

        if self.domains:
            names = [bound(columns.check_domain(d)) for d in self.domains]
            terms.append(f"domain IN ({', '.join(names)})")
        for feature, (low, high) in self.ranges.items():
            column = columns.check_feature(feature)
            kind = "FLOAT" if feature in columns.singles else "DOUBLE"
            if low is not None:
                terms.append(f"{column} >= {bound(low)}::{kind}")
            if high is not None:
                terms.append(f"{column} <= {bound(high)}::{kind}")
        if self.breaks_any:
            broken = " OR ".join(columns.check_rule(r) for r in self.breaks_any)
            terms.append(f"({broken}) IS TRUE")
        if self.breaks_none:
            broken = " OR ".join(columns.check_rule(r) for r in self.breaks_none)
            terms.append(f"({broken}) IS NOT TRUE")
        if self.duplicates != "any":
            terms.append(DUPLICATES_SQL[self.duplicates])
        if self.split is not None:
            terms.append(f"split = {bound(self.split)}")
        if self.languages:
            terms.append(f"language IN ({', '.join(map(bound, self.languages))})")
        return Where(" AND ".join(terms) or "TRUE", parameters)


def _unpack(url: str) -> bytes:
    if len(url) > MAX_URL:
        raise ValueError("too long")
    data = base64.b64decode(url + "=" * (-len(url) % 4), altchars=b"-_", validate=True)
    unpacker = zlib.decompressobj()
    # A few bytes can unpack to gigabytes; a selection is short.
    unpacked = unpacker.decompress(data, _MAX_JSON)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("cut, or something follows")
    return unpacked


def _words(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"The selection is not valid: {where + ': ' if where else ''}{first['msg']}."
