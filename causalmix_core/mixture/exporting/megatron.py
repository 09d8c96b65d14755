"""Megatron-LM and NeMo: a blend of weights and prefixes, as `--data-path`, an args file, and JSON per split.

`get_blend_from_list` takes weights and prefixes in turn, and quietly falls back to no weights at all when
the number of entries is odd or an entry in a weight's place is no number (`a:0.7`). The args file is split
at every whitespace, so it can carry neither comments nor paths with blanks. Each of these is refused here,
before a cluster runs unweighted.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.numbers import exact_shares, json_text, number_text
from causalmix_core.mixture.exporting.places import check_path, only, token_path
from causalmix_core.mixture.exporting.protocol import ExportedFile, Meaning, Reads

_READER = "Megatron-LM"
_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Megatron:
    """A weight is the part of the samples, each `--seq-length` tokens long: the part of the tokens."""

    label: str = "Megatron-LM and NeMo"
    meaning: Meaning = "part of the tokens"
    summary: str = (
        "A blend: weight and prefix in turn. Samples are sequences of equal length, so a weight is a part "
        "of the "
        "tokens; a domain that runs out is read again."
    )
    reads: Reads = "tokens"
    needs_counts: bool = False

    def write(self, blend: Blend) -> list[ExportedFile]:
        """The args file, the command-line option, and the JSON with all three splits."""
        if unknown := sorted(set(blend.splits) - set(_SPLITS[1:])):
            raise CausalMixError(f"{_READER} has the splits valid and test, not {', '.join(unknown)}.")
        weights = {d: number_text(w) for d, w in exact_shares(blend.used_weights).items()}
        train = [
            x
            for d, w in weights.items()
            for x in (w, _prefix(token_path(blend, d, _READER, "prefixes of tokens"), d))
        ]
        splits: dict[str, list[str] | None] = {"train": train, "valid": None, "test": None}
        for split, paths in blend.splits.items():
            splits[split] = [x for d, w in weights.items() for x in (w, _split_prefix(split, paths, d))]
        pairs = "".join(f"{w} {p}\n" for w, p in zip(train[::2], train[1::2], strict=True))
        option = f"--data-path {' '.join(shlex.quote(x) for x in train)}\n"
        return [
            ExportedFile(f"{blend.name}.data-args.txt", pairs),
            ExportedFile(f"{blend.name}.data-path.txt", option),
            ExportedFile(f"{blend.name}.per-split.json", json_text(splits)),
        ]


def _split_prefix(split: str, paths: Mapping[str, tuple[str, ...]], domain: str) -> str:
    found = paths.get(domain, ())
    if not found:
        raise CausalMixError(
            f"The split {split} has no path for {domain}. Give it (command line: `--split-path "
            f"{split}:{domain}=...`)."
        )
    return _prefix(only(found, domain, _READER), domain)


def _prefix(path: str, domain: str) -> str:
    check_path(path, domain)
    if any(c.isspace() for c in path):
        raise CausalMixError(
            f"The path {path!r} of {domain} holds whitespace, at which {_READER} splits its args file. "
            "Rename it, or "
            "make a link without blanks."
        )
    if path.endswith((".bin", ".idx")):
        raise CausalMixError(
            f"{path} of {domain} is a file, but {_READER} wants the prefix of the pair: {path[:-4]}"
        )
    try:
        float(path)
    except ValueError:
        return path
    raise CausalMixError(
        f"The path {path!r} of {domain} reads as a number, which {_READER} would take for a weight. Write "
        f"./{path}"
    )


MEGATRON = Megatron()
