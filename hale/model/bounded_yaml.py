"""YAML with a size and a depth, also where aliases repeat a part or contain themselves.

A file of a few lines can stand for a billion values: each list names the one before ten times, or
each mapping is merged twice into the next one. So what the aliases stand for is counted in the
parsed nodes, before any value is made of them. Source: YAML 1.2.2, 7.1 "Alias Nodes"; YAML 1.1,
"Merge Key Language-Independent Type".
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from yaml import CSafeLoader, SafeLoader
    from yaml.nodes import Node


class Limits(NamedTuple):
    """Of one document. values: with those of aliases; characters: of their texts, likewise."""

    values: int
    characters: int
    levels: int


class YamlTooLarge(Exception):
    """The document exceeds a limit; the text is the reason, without a place."""


def load_documents(loader: "SafeLoader | CSafeLoader", limits: Limits) -> Iterator[Any]:
    """The documents of a loader, which ends with them.

    Raises YamlTooLarge, yaml.YAMLError, RecursionError, and ValueError or OverflowError for a
    scalar that is none.
    """
    try:
        while loader.check_node():
            node = loader.get_node()
            _extent(node, limits, {}, set())
            yield loader.construct_document(node)
    finally:
        loader.dispose()


class _Extent(NamedTuple):
    """How much a node stands for."""

    values: int
    characters: int
    levels: int


def _extent(node: "Node", limits: Limits, known: dict[int, _Extent], within: set[int]) -> _Extent:
    """known: by identity; within: the nodes that it is in. Raises YamlTooLarge."""
    if isinstance(node.value, str):
        return _Extent(1, len(node.value), 0)
    if id(node) in within:
        raise YamlTooLarge("an alias stands within its own anchor")
    if id(node) not in known:
        within.add(id(node))
        values = characters = 1
        levels = 0
        for part in node.value:
            for one in part if isinstance(part, tuple) else (part,):
                found = _extent(one, limits, known, within)
                values += found.values
                characters += found.characters
                levels = max(levels, found.levels)
        within.discard(id(node))
        known[id(node)] = _Extent(values, characters, levels + 1)
    extent = known[id(node)]
    if extent.values > limits.values:
        raise YamlTooLarge(f"its aliases stand for more than {limits.values} values")
    if extent.characters > limits.characters:
        raise YamlTooLarge(f"its aliases stand for more than {limits.characters} characters")
    if extent.levels > limits.levels:
        raise YamlTooLarge(f"nested deeper than {limits.levels} levels")
    return extent
