"""Constraints as a file that people write and share: YAML or JSON with the fields of `Constraints`.

bounds: {code: [0.1, 0.4]}
locked: {wiki: 0.05}
groups: [{name: all code, domains: [code, notebooks], highest: 0.3}]
max_epochs: 4
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.constraints import Constraints


def read_constraints(path: Path) -> dict[str, Any]:
    """Read the fields of constraints from a YAML or JSON file, checked.

    Returns:
        Only the fields that the file gives, so that others keep their defaults.

    Raises:
        CausalMixError: it cannot be read, says a name twice, or a field is wrong; the message names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CausalMixError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except UnicodeDecodeError as error:
        raise CausalMixError(f"{path} is no text: constraints are YAML or JSON.") from error
    try:
        if path.suffix == ".json":
            fields = json.loads(text, object_pairs_hook=_once)
        else:
            _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader))
            fields = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise CausalMixError(f"{path} is neither YAML nor JSON: {' '.join(str(error).split())}.") from error
    if not isinstance(fields, dict):
        raise CausalMixError(
            f"{path} holds no constraints. Give one of: {', '.join(Constraints.model_fields)}."
        )
    checked_constraints(fields, str(path))
    return fields


def checked_constraints(fields: Mapping[str, Any], source: str) -> Constraints:
    """Constraints from what a file or options give.

    Raises:
        CausalMixError: a field is wrong; the message names it.
    """
    try:
        return Constraints.model_validate(fields)
    except ValidationError as error:
        lines = dict.fromkeys(
            ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))))
            for e in error.errors()
        )
        raise CausalMixError(f"{source}: {'; '.join(lines)}.") from error


def constraints_yaml(constraints: Constraints) -> str:
    """Constraints as YAML, to be edited and given back."""
    fields = constraints.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"the name {twice[0]} stands there twice")
    return dict(pairs)


def _refuse_twice(node: yaml.Node | None) -> None:
    """YAML's own loader keeps the last of two equal names, which would lose a constraint silently."""
    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        for key, value in node.value:
            if names.count(key.value) > 1:
                raise ValueError(f"the name {key.value} stands there twice, line {key.start_mark.line + 1}")
            _refuse_twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_twice(value)
