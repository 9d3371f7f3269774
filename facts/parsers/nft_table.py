"""A table of nftables as `nft list table` prints it: chains with their rules, maps with elements.

`nft flush table` empties chains and keeps them, their hooks and the elements of maps, so that only
the rules in a chain show that a packet gets anywhere.

Sources: nft(8), "TABLES", "CHAINS", "MAPS".
"""

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from facts.parsers.blanks import BLANKS

_TABLE = re.compile(r"table (\S+) (\S+) \{", re.ASCII)
_BLOCK = re.compile(r"\t(chain|map|set) (\S+) \{", re.ASCII)


class NftTable(Struct, frozen=True):
    """family: `ip`, `ip6` … chains and maps: the lines of each by its name, without blanks."""

    family: str
    name: str
    chains: Mapping[str, tuple[str, ...]]
    maps: Mapping[str, tuple[str, ...]]

    def based_at(self, kind: str, hook: str) -> tuple[str, ...]:
        """The rules of all chains of that type (`nat`) at that hook (`prerouting`)."""
        start = f"type {kind} hook {hook} "
        return tuple(
            line
            for lines in self.chains.values()
            if lines and lines[0].startswith(start)
            for line in lines[1:]
        )


def read_tables(lines: Iterable[str]) -> tuple[NftTable, ...]:
    """All tables in the output; lines outside of tables are ignored."""
    tables: list[NftTable] = []
    block: list[str] | None = None
    found: dict[tuple[int, str, str], list[str]] = {}
    for line in lines:
        if opened := _TABLE.match(line):
            tables.append(NftTable(opened[1], opened[2], {}, {}))
            block = None
        elif tables and (inner := _BLOCK.match(line)):
            block = found.setdefault((len(tables) - 1, inner[1], inner[2]), [])
        elif line.rstrip(BLANKS) == "\t}":
            block = None
        elif block is not None:
            block.append(line.strip(BLANKS))
    return tuple(
        NftTable(
            table.family,
            table.name,
            {
                name: tuple(rows)
                for (at, kind, name), rows in found.items()
                if at == n and kind == "chain"
            },
            {
                name: tuple(rows)
                for (at, kind, name), rows in found.items()
                if at == n and kind == "map"
            },
        )
        for n, table in enumerate(tables)
    )
