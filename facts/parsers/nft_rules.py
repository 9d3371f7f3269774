"""nftables' tables as chains: what `nft list table` prints, and scripts that `nft -f` runs.

Not a subject. Sources: nft(8): "INPUT FILE FORMATS", "RULESET", "CHAINS", "EXPRESSIONS",
"STATEMENTS", "VERDICT STATEMENTS", "VERDICT MAPS".
"""

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from facts.parsers.nft_statements import rules_of
from facts.parsers.packet_filter import Action, Chain, FilterRule
from hale.model.evidence import Unreadable

_TOKEN = re.compile(r"\\\n|#[^\n]*|\"[^\"\n]*\"|[{};,\n]|[^\s{};,\"#]+", re.ASCII)
_FAMILIES = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
_TABLES_OF = {4: ("ip", "inet"), 6: ("ip6", "inet")}
# Objects of a table without rules: sets, maps and stateful ones.
_OBJECTS = ("set", "map", "counter", "quota", "limit", "flowtable", "ct", "secmark", "synproxy")
_DEEPEST = 8  # files that include each other

Include = Callable[[str], Sequence[tuple[str, str]]]


class NftChains(Struct, frozen=True):
    """A table's chains by name."""

    family: str
    name: str
    chains: Mapping[str, Chain]

    def sees(self, version: int) -> bool:
        """Whether it judges packets of this IP version."""
        return self.family in _TABLES_OF[version]

    @property
    def by_iptables(self) -> bool:
        """Whether it is what iptables-nft makes: its chains of hooks have iptables' names."""
        based = [chain.name for chain in self.chains.values() if chain.hook]
        return self.name in ("filter", "nat", "mangle", "raw", "security") and bool(
            self.family in ("ip", "ip6") and based and all(name.isupper() for name in based)
        )


def read_ruleset(text: str, path: str = "", include: Include | None = None) -> list[NftChains]:
    """The tables that the script makes. path: of its file, for the rules' texts.

    include: the paths and texts of the files of an `include`. Raises Unreadable for commands that
    are not understood.
    """
    script = _Script(include)
    script.run(text, path, 0)
    return [
        NftChains(family, name, {n: chain.done() for n, chain in chains.items()})
        for (family, name), chains in script.tables.items()
    ]


class _Chain:
    def __init__(self, name: str) -> None:
        self.name = name
        self.rules: list[FilterRule] = []
        self.hook = ""
        self.policy = Action.ACCEPT

    def done(self) -> Chain:
        return Chain(self.name, tuple(self.rules), self.hook, self.policy)


class _Tokens:
    """The tokens of a script, with their lines."""

    def __init__(self, text: str, path: str, defined: Mapping[str, list[str]]) -> None:
        self.path, self.at = path, 0
        self.found: list[tuple[str, int]] = []
        self.defined = defined
        line = 1
        for match in _TOKEN.finditer(text):
            token = match[0]
            if token == "\\\n":
                line += 1
                continue
            if not token.startswith("#"):
                self.found.append((token, line))
            line += token.count("\n")

    def place(self) -> str:
        line = self.found[min(self.at, len(self.found) - 1)][1] if self.found else 0
        return f"{self.path}:{line}" if self.path else ""

    def next(self) -> str:
        """The next token; empty at the end."""
        if self.at >= len(self.found):
            return ""
        self.at += 1
        return self.found[self.at - 1][0]

    def statement(self) -> tuple[list[str], str]:
        """The tokens up to a newline, `;`, an opening brace of a block, or `}`; and that.

        A brace after an operator, a field or a comma is a set's.
        """
        words: list[str] = []
        while token := self.next():
            if token in ("\n", ";"):
                if words:
                    return words, token
                continue
            if token == "}":
                return words, token
            if token == "{":
                if _opens_block(words):
                    return words, token
                words += self.set_()
                continue
            if token.startswith("$"):
                words += self._value(token)
                continue
            words.append(token)
        return words, ""

    def _value(self, token: str) -> list[str]:
        if token[1:] not in self.defined:
            raise Unreadable(f"{self.place()}: {token} is not defined where it is read")
        return self.defined[token[1:]]

    def set_(self) -> list[str]:
        """The tokens of a set behind its brace, with both braces."""
        words, depth = ["{"], 1
        while depth and (token := self.next()):
            depth += {"{": 1, "}": -1}.get(token, 0)
            if token.startswith("$"):
                words += self._value(token)
            elif token not in ("\n", ";"):
                words.append(token)
        if depth:
            raise Unreadable(f"{self.place()}: a brace is not closed")
        return words

    def skip_block(self) -> None:
        self.set_()


def _opens_block(words: Sequence[str]) -> bool:
    first = words[1:] if words[:1] in (["add"], ["create"]) else words
    return (
        bool(first)
        and first[0] in ("table", "chain", *_OBJECTS)
        and "=" not in words
        and (first[0] != "ct" or first[1:2] in (["helper"], ["timeout"], ["expectation"]))
    )


class _Script:
    def __init__(self, include: Include | None) -> None:
        self.tables: dict[tuple[str, str], dict[str, _Chain]] = {}
        self.include = include
        self.defined: dict[str, list[str]] = {}

    def run(self, text: str, path: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise Unreadable(f"{path}: more than {_DEEPEST} files include each other")
        tokens = _Tokens(text, path, self.defined)
        while True:
            words, end = tokens.statement()
            if not words and not end:
                return
            self._command(tokens, words, end, depth)

    def _command(self, tokens: _Tokens, words: list[str], end: str, depth: int) -> None:
        place = tokens.place()
        plain = words[1:] if words[:1] in (["add"], ["create"]) else words
        match plain:
            case ["flush", "ruleset", *_]:
                self.tables.clear()
            case ["delete" | "destroy", "table", *name]:
                self.tables.pop(_named(name), None)
            case ["flush", "table", *name]:
                for chain in self.tables.get(_named(name), {}).values():
                    chain.rules.clear()
            case ["include", quoted]:
                self._included(tokens, quoted.strip('"'), depth)
            case ["define" | "redefine", name, "=", *value] if value:
                self.defined[name] = value
            case ["table", *name] if end == "{":
                self._table(tokens, self.tables.setdefault(_named(name), {}), _named(name))
            case ["table", *name]:
                self.tables.setdefault(_named(name), {})
            case ["chain", *name] if end == "{":
                key, own = _named(name[:-1]), name[-1]
                chains = self.tables.setdefault(key, {})
                self._chain(tokens, chains.setdefault(own, _Chain(own)), key)
            case ["rule", family, table, chain, *rule] if family in _FAMILIES and rule:
                self._added((family, table), chain, rule, place)
            case ["set" | "map" | "counter" | "element", *_]:
                if end == "{":
                    tokens.skip_block()
            case _:
                raise Unreadable(f"{place}: `{' '.join(words)[:60]}` is not understood here")

    def _added(self, key: tuple[str, str], name: str, words: list[str], place: str) -> None:
        chain = self.tables.get(key, {}).get(name)
        if chain is None:
            raise Unreadable(f"{place}: a rule for a chain {name} that is not there")
        chain.rules += rules_of(words, _where(key, name, place))

    def _included(self, tokens: _Tokens, pattern: str, depth: int) -> None:
        place = tokens.place()
        if self.include is None:
            raise Unreadable(f"{place}: what it includes is not read: {pattern}")
        for path, text in self.include(pattern):
            self.run(text, path, depth + 1)

    def _table(self, tokens: _Tokens, chains: dict[str, _Chain], key: tuple[str, str]) -> None:
        dormant = False
        while True:
            words, end = tokens.statement()
            match words:
                case ["chain", name] if end == "{":
                    self._chain(tokens, chains.setdefault(name, _Chain(name)), key)
                    continue
                case ["flags", *flags]:
                    dormant = "dormant" in flags
                case [kind, *_] if kind in _OBJECTS and end == "{":
                    tokens.skip_block()
                    continue
                case [] | ["comment", *_]:
                    pass
                case _:
                    raise Unreadable(
                        f"{tokens.place()}: `{' '.join(words)[:60]}` is not understood here"
                    )
            if end in ("}", ""):
                break
        if dormant:  # the kernel enters none of its chains
            for chain in chains.values():
                chain.hook = ""

    def _chain(self, tokens: _Tokens, chain: _Chain, key: tuple[str, str]) -> None:
        while True:
            place = tokens.place()
            words, end = tokens.statement()
            match words:
                case ["type", kind, "hook", hook, *_]:
                    chain.hook = hook if kind == "filter" else ""
                case ["policy", policy]:
                    chain.policy = Action.DROP if policy == "drop" else Action.ACCEPT
                case [] | ["comment", *_]:
                    pass
                case _:
                    chain.rules += rules_of(words, _where(key, chain.name, place))
            if end in ("}", ""):
                return


def _named(words: Sequence[str]) -> tuple[str, str]:
    if len(words) == 2:
        return words[0], words[1]
    return "ip", words[0] if words else ""


def _where(key: tuple[str, str], chain: str, place: str) -> str:
    return f"{place} ({' '.join((*key, chain))})" if place else " ".join((*key, chain))
