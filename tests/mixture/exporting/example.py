"""One mixture that all tests of exports share. `python -m tests.mixture.exporting.example` renews the golden
files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from causalmix_core.mixture.exporting import FORMATS, Blend, DomainPool, ExportedFile, FormatName

GOLDEN = Path(__file__).parent / "golden"
WEIGHTS = {"books": 0.0, "code": 1 / 3, "web": 2 / 3 - 0.00005, "math.proofs": 0.00005}
"""A third, which no decimal hits; a weight that Python writes with an exponent; a dot; and nothing at all."""


def blend(**fields: object) -> Blend:
    """Web documents are short, those of code long; web is read more than once."""
    pool = {
        "books": DomainPool(tokens=500_000, documents=10),
        "code": DomainPool(tokens=8_000_000, documents=2_000),
        "math.proofs": DomainPool(tokens=90_000, documents=300),
        "web": DomainPool(tokens=2_400_000, documents=12_000),
    }
    here = {d: replace(p, stored=f"/pool/documents/{d}.parquet", source=f"/raw/{d}") for d, p in pool.items()}
    values: dict[str, object] = {
        "name": "best",
        "weights": WEIGHTS,
        "pool": here,
        "token_budget": 9_000_000,
        "seed": 7,
        "tokenizer": "bytes",
        "origin": {"revision": 3, "snapshot": "0123456789ab", "policy": "trust_region"},
    }
    return Blend(**(values | fields))  # type: ignore[arg-type]


def mapped(made: Blend, **paths: str) -> Blend:
    """The same with a place for the prepared tokens of each domain."""
    pool = {d: replace(p, mapped=(paths.get(d, f"/tokens/{d}"),), stored=None) for d, p in made.pool.items()}
    return replace(made, pool=pool)


def ready(name: FormatName, made: Blend | None = None) -> Blend:
    """A blend with all that a format needs."""
    made = made or blend()
    if name == "megatron":
        valid = {d: (f"/tokens/{d}_valid",) for d in made.weights}
        made = replace(made, splits={"valid": valid})
    return mapped(made) if FORMATS[name].reads == "tokens" else made


def written(name: FormatName) -> list[ExportedFile]:
    """What a format writes of the example."""
    return FORMATS[name].write(ready(name))


if __name__ == "__main__":
    for format_name in FORMATS:
        folder = GOLDEN / format_name
        folder.mkdir(parents=True, exist_ok=True)
        for file in written(format_name):
            (folder / file.name).write_text(file.text, encoding="utf-8")
