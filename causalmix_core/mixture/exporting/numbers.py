"""Numbers and texts of exports: decimals without exponents that sum to exactly 1, in YAML and JSON.

A weight of 1e-05 is read as text by some loaders (YAML 1.1 wants `1.0e-05`), and 17 digits per weight hide
that a file is meant to sum to 1. So shares are written with nine decimals, rounded together by largest
remainder.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal

import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.simplex import in_units

DIGITS = 9
"""Decimals of an exported share: a millionth of a trillion tokens is still told apart."""


def exact_shares(shares: Mapping[str, float]) -> dict[str, Decimal]:
    """The shares as decimals of `DIGITS` places that sum to exactly 1, in sorted order.

    Raises:
        CausalMixError: a share above zero is too small to be written.
    """
    units = in_units(shares, 10**DIGITS)
    _check_kept({d: shares[d] for d, u in units.items() if u == 0 and shares[d] > 0})
    return {d: Decimal(units[d]).scaleb(-DIGITS) for d in sorted(units)}


def kept_part(domain: str, part: float) -> Decimal:
    """A part of a domain, above 0 and at most 1, rounded down to `DIGITS` places.

    Raises:
        CausalMixError: it is too small to be written.
    """
    units = math.floor(part * 10**DIGITS)
    if units == 0:
        _check_kept({domain: part})
    return Decimal(units).scaleb(-DIGITS)


def _check_kept(lost: Mapping[str, float]) -> None:
    if lost:
        named = ", ".join(f"{d} ({v:.1e})" for d, v in sorted(lost.items()))
        raise CausalMixError(
            f"Too small to be written with {DIGITS} decimals: {named}. Give these domains weight 0, or "
            "more of it."
        )


def number_text(value: Decimal | float) -> str:
    """A number without an exponent and without trailing zeros, always with a decimal point."""
    text = format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}"


class _Dumper(yaml.SafeDumper):
    """YAML without exponents and without anchors, which several trainers' loaders do not follow."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _number(dumper: yaml.SafeDumper, value: Decimal | float) -> yaml.ScalarNode:
    if not math.isfinite(value):
        return dumper.represent_float(float(value))
    return dumper.represent_scalar("tag:yaml.org,2002:float", number_text(value))


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Quoted where another reader of YAML would see a number, as OmegaConf does in `1e5`."""
    try:
        float(value)
    except ValueError:
        return dumper.represent_str(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="'")


_Dumper.add_representer(str, _string)
_Dumper.add_representer(Decimal, _number)
_Dumper.add_representer(float, _number)


def yaml_text(content: object, comment: str = "") -> str:
    """YAML in the order of `content`, under comment lines."""
    body = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return comment_lines(comment) + str(body)


def comment_lines(text: str) -> str:
    """Each line of `text` as a comment of YAML or Python."""
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())


def json_text(content: object) -> str:
    """Indented JSON in the order of `content`, its numbers without exponents."""
    # The standard encoder writes floats its own way, so they pass through it as marked strings. The mark is
    # a NUL, which no name or path can hold.
    text = json.dumps(_marked(content), indent=2, ensure_ascii=False)
    return re.sub(r'"\\u0000(-?[0-9.]+)\\u0000"', r"\1", text) + "\n"


def _marked(content: object) -> object:
    if isinstance(content, Mapping):
        return {k: _marked(v) for k, v in content.items()}
    if isinstance(content, list | tuple):
        return [_marked(v) for v in content]
    if isinstance(content, Decimal | float) and math.isfinite(content):
        return f"\0{number_text(content)}\0"
    return content
