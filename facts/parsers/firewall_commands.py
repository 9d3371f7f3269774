"""Commands that a boot runs and that may load rules of a firewall. Not a subject.

What the services load that facts/firewalls.py reads is left out, and so are commands that cannot
drop anything: lists, chains, policies and rules that accept. Programs that make rules of iptables
from a configuration of their own, as Shorewall does, may drop anything.

Sources: iptables(8), iptables-restore(8), iptables-apply(8); nft(8); shorewall(8), ferm(1),
firehol(1), arno-iptables-firewall(8); csf's readme.txt ("csf(1) options").
"""

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from facts.parsers import boot_commands, service_commands
from facts.parsers.ip_command import commands, program_at
from hale.model.evidence import ConfigLine, HostView

_FRONTS = tuple(
    f"ip{six}tables{kind}{does}"
    for six in ("", "6")
    for kind in ("", "-nft", "-legacy")
    for does in ("", "-restore", "-apply")
)
# Programs that make rules of iptables, and with which words they make none that drop: `shorewall
# stop` lets stoppedrules through alone, and `ferm --lines` loads what it prints.
_LISTS = ("status", "show", "check", "version", "--version")
_SHOREWALL = ("shorewall", "shorewall6", "shorewall-lite", "shorewall6-lite")
_GENERATORS = {
    **dict.fromkeys(_SHOREWALL, (*_LISTS, "clear")),
    "ferm": (*_LISTS, "--noexec", "-n"),
    "firehol": (*_LISTS, "stop"),
    "csf": (*_LISTS, "--stop", "-f", "--disable", "-x", "--status", "-l"),
    "arno-iptables-firewall": (*_LISTS, "stop"),
}
_NAMED = (
    r"(^|[^A-Za-z0-9_.-])(ip6?tables(-nft|-legacy)?(-restore|-apply)?|nft"
    rf"|{'|'.join(_GENERATORS)})([ \t]|$)"
)
_LOADS = ("-restore", "-apply")
# Of ufw(8) and netfilter-persistent(8).
_TURNS_ON = ("enable", "start", "reload", "restart")
_DROPS = ("DROP", "REJECT")
_NFT_DROPS = re.compile(r"\b(drop|reject)\b", re.ASCII)


def loading(
    readings: HostView, make: Literal["iptables", "nftables"], known: Sequence[str]
) -> Iterator[ConfigLine]:
    """The lines that may load rules that drop something. known: units and files that are judged.

    Raises Unreadable.
    """
    if make == "iptables":
        for program in _GENERATORS:
            yield from service_commands.starting(readings, f"{program}.service")
    for command in boot_commands.commands(readings, _NAMED):
        if command.source.path.endswith(tuple(f"/{name}" for name in known)):
            continue
        if any(_may_drop(words, make) for words in commands(command.text)):
            yield command.source


def starting(
    readings: HostView, units: Sequence[str], *, by_service: bool = True
) -> Iterator[ConfigLine]:
    """The lines that start a service of a firewall, or have its own program do so.

    by_service: whether the service loads rules when it starts; else its program must turn it on
    first. Raises Unreadable.
    """
    on = _TURNS_ON if by_service else _TURNS_ON[:1]
    for unit in units:
        if by_service:
            yield from service_commands.starting(readings, unit)
        program = unit.removesuffix(".service")
        pattern = rf"(^|[^A-Za-z0-9_.-]){re.escape(program)}[ \t]"
        for command in boot_commands.commands(readings, pattern):
            if not command.source.path.endswith(f"/{unit}") and any(
                (at := program_at(words, program)) >= 0 and {*words[at + 1 :]} & {*on}
                for words in commands(command.text)
            ):
                yield command.source


def _may_drop(words: Sequence[str], make: Literal["iptables", "nftables"]) -> bool:
    if make == "nftables":
        at = program_at(words, "nft")
        rest = words[at + 1 :]
        return at >= 0 and (
            any(w in ("-f", "--file") for w in rest) or bool(_NFT_DROPS.search(" ".join(rest)))
        )
    for front in _FRONTS:
        at = program_at(words, front)
        if at < 0:
            continue
        if front.endswith(_LOADS):
            return "--test" not in words and "-t" not in words[at + 1 : at + 2]
        return any(word in _DROPS for word in words[at + 1 :])
    return any(
        (at := program_at(words, program)) >= 0 and not {*words[at + 1 :]} & {*makes_none}
        for program, makes_none in _GENERATORS.items()
    )
