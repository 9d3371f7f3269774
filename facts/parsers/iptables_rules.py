"""Chains as iptables-save(8) prints them and iptables-restore(8) reads them. Not a subject.

Sources: iptables-save(8), iptables(8), iptables-extensions(8) (conntrack, multiport, tcp).
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from facts.parsers.blanks import BLANKS
from facts.parsers.packet_filter import Action, Chain, Condition, Field, FilterRule
from hale.model.evidence import Unreadable

HOOKS = {"INPUT": "input", "FORWARD": "forward", "OUTPUT": "output"}
_FIELDS = {
    "-s": Field.SOURCE, "--source": Field.SOURCE, "-d": Field.DESTINATION,
    "--destination": Field.DESTINATION, "-p": Field.PROTOCOL, "--protocol": Field.PROTOCOL,
    "--dport": Field.PORT, "--dports": Field.PORT, "--destination-port": Field.PORT,
    "--destination-ports": Field.PORT, "--state": Field.STATE, "--ctstate": Field.STATE,
}  # fmt: skip
_INTERFACES = ("-i", "-o", "--in-interface", "--out-interface")
_ACTIONS = {
    "ACCEPT": Action.ACCEPT, "DROP": Action.DROP, "REJECT": Action.DROP,
    "RETURN": Action.RETURN,
}  # fmt: skip
# Targets after which the next rule is compared; one that is not named here is taken for a chain.
_CONTINUES = (
    "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "SECMARK", "CONNSECMARK", "CT", "SET", "TCPMSS",
    "TRACE", "AUDIT", "CLASSIFY", "DSCP", "TOS", "TTL", "HL", "NOTRACK", "CHECKSUM", "RATEEST",
)  # fmt: skip
_TABLE = re.compile(r"\*(\S+)", re.ASCII)
_CHAIN = re.compile(r":(\S+) (\S+)", re.ASCII)


def read_filter(lines: Sequence[str], where: str = "") -> dict[str, Chain]:
    """The chains of the table `filter`. where: a prefix of the rules' texts, such as `FILE:`.

    Raises Unreadable for a table that only nft can print, and for what no rule is.
    """
    policies: dict[str, str] = {}
    rules: dict[str, list[FilterRule]] = {}
    table = ""
    for number, raw in enumerate(lines, 1):
        line = raw.strip(BLANKS)
        if line.startswith("#") and "is incompatible" in line:
            raise Unreadable(f"{line.lstrip('# ')} (`nft list ruleset` shows it)")
        if not line or line.startswith("#") or line == "COMMIT":
            continue
        if opened := _TABLE.match(line):
            table = opened[1]
        elif table != "filter":
            continue
        elif found := _CHAIN.match(line):
            policies[found[1]] = found[2]
            rules.setdefault(found[1], [])
        else:
            at = f"{where}{number} (" if where else ""
            name, rule = _rule(line, at)
            rules.setdefault(name, []).append(rule)
    return {
        name: Chain(
            name,
            tuple(found),
            HOOKS.get(name, ""),
            Action.DROP if policies.get(name) == "DROP" else Action.ACCEPT,
        )
        for name, found in rules.items()
    }


def jumps(chains: Mapping[str, Chain], prefix: str) -> str:
    """The first rule of a hook's chain that jumps to a chain with this prefix; empty without."""
    for chain in chains.values():
        for rule in chain.rules if chain.hook else ():
            if rule.target.startswith(prefix):
                return rule.text
    return ""


def reaches_rules(chains: Mapping[str, Chain], prefix: str) -> bool:
    """Whether a packet comes to a rule, other than a jump, of a chain with this prefix."""
    pending = [
        rule.target
        for chain in chains.values()
        for rule in (chain.rules if chain.hook else ())
        if rule.target.startswith(prefix)
    ]
    entered: set[str] = set()
    while pending:
        name = pending.pop()
        if name in entered or name not in chains:
            continue
        entered.add(name)
        for rule in chains[name].rules:
            if not rule.target.startswith(prefix):
                return True
            pending.append(rule.target)
    return False


def _rule(line: str, at: str) -> tuple[str, FilterRule]:
    try:
        words = shlex.split(line)
    except ValueError:
        words = []
    if words and words[0].startswith("["):  # counters
        words = words[1:]
    if len(words) < 2 or words[0] not in ("-A", "--append"):
        raise Unreadable(f"{at}{line[:80]!r} is no rule that is understood here")
    conditions, action, target = _parts(words[2:])
    text = line if not at else f"{at}{line})"
    network = any(word.startswith("cali:") for word in words)
    return words[1], FilterRule(text, tuple(conditions), action, target, network)


def _parts(words: list[str]) -> tuple[list[Condition], Action, str]:
    conditions: list[Condition] = []
    iterator = iter(words)
    negated = False
    for word in iterator:
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g", "--jump", "--goto"):
            target = next(iterator, "")
            if target in _ACTIONS:
                return conditions, _ACTIONS[target], ""
            if target in _CONTINUES:
                return conditions, Action.CONTINUE, ""
            jump = Action.GOTO if word in ("-g", "--goto") else Action.JUMP
            return conditions, jump, target
        conditions += _condition(word, iterator, negated)
        negated = False
    return conditions, Action.CONTINUE, ""


def _condition(word: str, rest: Iterator[str], negated: bool) -> list[Condition]:
    if word in ("-m", "--match", "--comment"):
        next(rest, "")
        return []
    if word in _INTERFACES:
        if next(rest, "") == "lo":
            return [Condition(Field.NEVER, negated=negated)]
        return [Condition(Field.UNKNOWN)]
    if word in _FIELDS:
        values = tuple(next(rest, "").split(","))
        return [Condition(_FIELDS[word], values, negated)]
    # Options of other matches, and their words, which are no options.
    return [Condition(Field.UNKNOWN)]
