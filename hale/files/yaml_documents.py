"""YAML that an operator has written: it has a size and a depth, also where aliases repeat a part.

A file of a few lines can stand for a billion values (each list names the one before ten times), or
contain itself. So what the aliases stand for is counted before anything walks over it. Source: YAML
1.2.2, 7.1 "Alias Nodes".
"""

from pathlib import Path
from typing import Any, NamedTuple

import yaml

from hale.model.errors import Location, UserError

MOST_VALUES = 1_000_000  # of a document: Kubernetes' largest CRDs have some 50,000
MOST_LEVELS = 100


class _Unfit(Exception):
    """The text completes `invalid YAML: …`."""


def load_documents(path: Path, raw: bytes) -> list[Any]:
    """The documents of a file with this content, without empty ones. Raises UserError."""
    try:
        found = [d for d in yaml.safe_load_all(raw) if d is not None]
        for document in found:
            _extent(document, {}, [])
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
        raise UserError(
            f"invalid YAML: {problem}.", Location(path, mark.line + 1 if mark else 0)
        ) from None
    except RecursionError:
        raise UserError("invalid YAML: nested too deep.", Location(path)) from None
    # A date that is none, a number of thousands of digits.
    except (_Unfit, ValueError, OverflowError) as error:
        raise UserError(f"invalid YAML: {error}.", Location(path)) from None
    return found


class _Extent(NamedTuple):
    """How many values a part stands for, and how many levels it has."""

    values: int
    levels: int


def _extent(part: object, known: dict[int, _Extent], within: list[int]) -> _Extent:
    """known: by identity; within: the parts that it is in. Raises _Unfit."""
    if isinstance(part, dict):
        inner = [*part, *part.values()]
    elif isinstance(part, list | tuple | set):
        inner = [*part]
    else:
        return _Extent(1, 0)
    if id(part) in within:
        raise _Unfit("an alias stands within its own anchor")
    if id(part) not in known:
        within.append(id(part))
        found = [_extent(one, known, within) for one in inner]
        within.pop()
        levels = 1 + max((one.levels for one in found), default=0)
        known[id(part)] = _Extent(1 + sum(one.values for one in found), levels)
    extent = known[id(part)]
    if extent.values > MOST_VALUES:
        raise _Unfit(f"its aliases stand for more than {MOST_VALUES} values")
    if extent.levels > MOST_LEVELS:
        raise _Unfit(f"nested deeper than {MOST_LEVELS} levels")
    return extent
