"""One rule of nftables as conditions and a verdict. Not a subject.

What a statement compares that is not known here (marks, named sets, limits) may hold or not.

Sources: nft(8): "PRIMARY EXPRESSIONS", "PAYLOAD EXPRESSIONS", "STATEMENTS", "VERDICT MAPS".
"""

from collections.abc import Sequence

from facts.parsers.packet_filter import Action, Condition, Field, FilterRule

_ACTIONS = {
    "accept": Action.ACCEPT, "drop": Action.DROP, "reject": Action.DROP,
    "return": Action.RETURN, "continue": Action.CONTINUE, "jump": Action.JUMP,
    "goto": Action.GOTO,
}  # fmt: skip
_OTHERS = ("udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "ah", "esp", "comp", "vrrp")
_INTERFACES = ("iif", "oif", "iifname", "oifname")
# Statements by their first word, and how many words follow at most that are theirs.
_OF_LOG = ("prefix", "level", "flags", "group", "snaplen", "queue-threshold")
_OF_COUNTER = ("packets", "bytes", "name")
_UNKNOWN = Condition(Field.UNKNOWN)


def rules_of(words: Sequence[str], where: str) -> list[FilterRule]:
    """The rule; several where a verdict map decides. where: its table and chain, or its line."""
    return _Reader(list(words), where).rules()


class _Reader:
    def __init__(self, words: list[str], where: str) -> None:
        self.words = words
        self.at = 0
        self.text = f"{where}: {' '.join(words)}"
        self.conditions: list[Condition] = []
        self.made: list[FilterRule] = []

    def rules(self) -> list[FilterRule]:
        """Reads all words."""
        while word := self._next():
            if word in _ACTIONS:
                target = self._next() if word in ("jump", "goto") else ""
                self._make(_ACTIONS[word], target)
                return self.made
            if word == "queue":  # a program decides
                self.conditions.append(_UNKNOWN)
                self._make(Action.DROP)
                return self.made
            self._part(word)
        return self.made

    def _next(self) -> str:
        self.at += 1
        return self.words[self.at - 1] if self.at <= len(self.words) else ""

    def _peek(self) -> str:
        return self.words[self.at] if self.at < len(self.words) else ""

    def _make(self, action: Action, target: str = "", *more: Condition) -> None:
        self.made.append(FilterRule(self.text, (*self.conditions, *more), action, target))

    def _part(self, word: str) -> None:
        if word == "comment":
            self._next()
        elif word in ("counter", "log"):
            while self._peek() in (*_OF_COUNTER, *_OF_LOG):
                self._next()
                self._next()
        elif word == "meta":
            pass  # what follows has the same name without it
        elif word in _INTERFACES:
            self._compare(Field.NEVER, ("lo", '"lo"'))
        elif word == "nfproto":
            self._compare(Field.FAMILY)
        elif word in ("l4proto", "nexthdr"):
            self._compare(Field.PROTOCOL)
        elif word == "ct" and self._peek() == "state":
            self._next()
            self._compare(Field.STATE)
        elif word in ("ip", "ip6"):
            self._of_ip(word)
        elif word in ("tcp", "th"):
            if word == "tcp":
                self.conditions.append(Condition(Field.PROTOCOL, ("tcp",)))
            if self._peek() == "dport":
                self._next()
                self._compare(Field.PORT)
            else:
                self.conditions.append(_UNKNOWN)
        elif word in _OTHERS:
            self.conditions.append(Condition(Field.PROTOCOL, (word,)))
        elif word == "vmap":
            self._next_values()
            self._may_do_anything()
        else:
            self.conditions.append(_UNKNOWN)
            if word == "{":
                self.at -= 1
                self._next_values()

    def _of_ip(self, word: str) -> None:
        self.conditions.append(Condition(Field.FAMILY, (f"ipv{6 if word == 'ip6' else 4}",)))
        fields = {"saddr": Field.SOURCE, "daddr": Field.DESTINATION, "protocol": Field.PROTOCOL}
        if (field := fields.get(self._peek())) is None:
            if self._peek() != "nexthdr":
                self.conditions.append(_UNKNOWN)
            return
        self._next()
        self._compare(field)

    def _compare(self, field: Field, only: tuple[str, ...] = ()) -> None:
        """A comparison; with a verdict map, a rule for each of its keys."""
        operator = self._next() if self._peek() in ("==", "!=", "vmap", ".", "&") else ""
        if operator in (".", "&"):
            self.conditions.append(_UNKNOWN)
            return
        values = self._next_values()
        if operator == "vmap":
            self._map(field, values)
            return
        known = [value for value in values if value != ","]
        named = any(value.startswith("@") for value in known) or self._peek() == "."
        if named or (only and not set(known) <= set(only)):
            self.conditions.append(_UNKNOWN)
        else:
            self.conditions.append(Condition(field, tuple(known), operator == "!="))

    def _next_values(self) -> list[str]:
        """The words of a value, a list or a set, without braces and commas."""
        first = self._next()
        if first != "{":
            values = [first]
            while self._peek() == ",":
                self._next()
                values.append(self._next())
            return values
        values, depth = [], 1
        while depth and (word := self._next()):
            depth += {"{": 1, "}": -1}.get(word, 0)
            if depth and word != ",":
                values.append(word)
        return values

    def _map(self, field: Field, values: list[str]) -> None:
        """`established : accept, invalid : drop`: keys and verdicts, without the commas."""
        at = 0
        while at + 2 < len(values) and values[at + 1] == ":" and values[at + 2] in _ACTIONS:
            key, word = values[at], values[at + 2]
            at += 3
            target = ""
            if word in ("jump", "goto"):
                target = values[at] if at < len(values) else ""
                at += 1
            self._make(_ACTIONS[word], target, Condition(field, (key,)))
        if at < len(values) or not values:
            self._may_do_anything()

    def _may_do_anything(self) -> None:
        for action in (Action.ACCEPT, Action.DROP):
            self._make(action, "", _UNKNOWN)
