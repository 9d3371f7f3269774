"""What a packet filter's chains make of a packet, where its rules tell. Not a subject.

A rule holds, does not hold, or may hold: interfaces, marks, sets and limits are not known here.
Chains of the cluster's own programs are not judged: those of kube-proxy drop what no Service has,
and a pod network decides itself which pods may talk to each other.

Sources: iptables(8), "TARGETS"; nft(8), "CHAINS" and "VERDICT STATEMENTS"; kubernetes.io, "Ports
and Protocols"; the chains that Calico, Cilium, Flannel, Weave Net, Antrea and the CNI plugins make.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from msgspec import Struct

from facts.parsers.blanks import is_decimal
from hale.model.evidence import Unreadable

Address = IPv4Address | IPv6Address
KUBE_PROXY = "KUBE-"
NETWORKS = ("cali-", "CILIUM_", "FLANNEL-", "CNI-", "WEAVE-", "ANTREA-")
# The hooks that a packet passes, by the one that is named for it.
PASSED = {
    "input": ("prerouting", "input"),
    "output": ("output", "postrouting"),
    "forward": ("forward",),
}
DEEPEST = 32  # chains that jump to each other
MOST_STEPS = 100_000  # rules that are compared with one packet


class Action(StrEnum):
    """What a rule does with a packet, or a chain's end."""

    ACCEPT = "accept"
    DROP = "drop"
    JUMP = "jump"
    GOTO = "goto"
    RETURN = "return"
    CONTINUE = "continue"


class Field(StrEnum):
    """What a condition compares. NEVER: no packet of the cluster's; UNKNOWN: not known here."""

    SOURCE = "source"
    DESTINATION = "destination"
    PROTOCOL = "protocol"
    PORT = "port"
    STATE = "state"
    FAMILY = "family"
    NEVER = "never"
    UNKNOWN = "unknown"


class Condition(Struct, frozen=True):
    """One match of a rule: the field has one of the values, or none where it is negated."""

    field: Field
    values: tuple[str, ...] = ()
    negated: bool = False


class FilterRule(Struct, frozen=True):
    """text: for people. target: the chain of a jump. networks: whether a pod network made it."""

    text: str
    conditions: tuple[Condition, ...]
    action: Action
    target: str = ""
    networks: bool = False


class Chain(Struct, frozen=True):
    """hook: where the kernel enters it (`input`), empty for others. policy: at its end."""

    name: str
    rules: tuple[FilterRule, ...]
    hook: str = ""
    policy: Action = Action.ACCEPT


class Packet(Struct, frozen=True):
    """The first packet of a connection; None where any may come. hook: the chain that judges it."""

    what: str
    hook: str
    version: int
    source: Address | None = None
    destination: Address | None = None
    port: int | None = None


class Loss(Struct, frozen=True):
    """A packet that is dropped, and the rule or policy that does it; sure: certainly."""

    packet: Packet
    by: str
    sure: bool


def losses(chains: Mapping[str, Chain], packets: Iterable[Packet]) -> list[Loss]:
    """The packets that a table's chains drop, or may drop. Raises Unreadable."""
    found = []
    for packet in packets:
        for chain in chains.values():
            if chain.hook in PASSED[packet.hook] and (loss := _Walk(chains, packet).loss(chain)):
                found.append(loss)
    return found


def sentences(found: Sequence[Loss]) -> tuple[str, ...]:
    """One for each rule, with the packets that it drops."""
    by: dict[str, list[str]] = {}
    for loss in found:
        by.setdefault(loss.by, []).append(loss.packet.what)
    return tuple(f"{rule} drops {_some(list(dict.fromkeys(what)))}" for rule, what in by.items())


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


class _Walk:
    """One packet's way through a table."""

    def __init__(self, chains: Mapping[str, Chain], packet: Packet) -> None:
        self.chains = chains
        self.packet = packet
        self.may: dict[Action, str] = {}
        self.by = ""
        self.steps = 0

    def loss(self, base: Chain) -> Loss | None:
        """Whether the packet is lost in that chain of a hook."""
        end = self._through(base, True, 0)
        if end is Action.RETURN:
            end, self.by = base.policy, f"policy {base.policy} of {base.name}"
        if end is Action.DROP:
            return Loss(self.packet, self.by, Action.ACCEPT not in self.may)
        # What drops some of the packets that are forwarded is the site's decision.
        if self.packet.port is not None and (doubt := self.may.get(Action.DROP)):
            return Loss(self.packet, doubt, False)
        return None

    def _through(self, chain: Chain, sure: bool, depth: int) -> Action:
        """ACCEPT, DROP, or RETURN where no rule certainly decides. sure: the packet gets here."""
        if depth > DEEPEST:
            raise Unreadable(f"more than {DEEPEST} chains jump to each other, {chain.name} too")
        for rule in chain.rules:
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise Unreadable(f"more than {MOST_STEPS} rules in chains that are jumped to")
            held = self._held(rule)
            if held is False or rule.action is Action.CONTINUE:
                continue
            if rule.action in (Action.JUMP, Action.GOTO):
                inside = self._jump(rule, sure and held is True, depth)
                if inside is not Action.RETURN:
                    return inside
                if rule.action is Action.GOTO and held:
                    return Action.RETURN
                continue
            if rule.networks:
                if rule.action is Action.ACCEPT and self.packet.hook == "forward":
                    return Action.ACCEPT
                continue
            if held and (sure or rule.action is Action.RETURN):
                self.by = rule.text
                return rule.action
            if rule.action is Action.RETURN:
                sure = False
                continue
            self.may.setdefault(rule.action, rule.text)
            if held:
                return Action.RETURN
        return Action.RETURN

    def _jump(self, rule: FilterRule, sure: bool, depth: int) -> Action:
        if rule.target.startswith(KUBE_PROXY):
            return Action.RETURN
        chain = self.chains.get(rule.target)
        if rule.target.startswith(NETWORKS):
            accepts = self.packet.hook == "forward" and self._accepts(chain, 0)
            return Action.ACCEPT if accepts else Action.RETURN
        if chain is None:
            raise Unreadable(f"{rule.text}: there is no chain {rule.target}")
        return self._through(chain, sure, depth + 1)

    def _accepts(self, chain: Chain | None, depth: int) -> bool:
        """Whether a pod network's chain has a rule that accepts packets."""
        if chain is None or depth > DEEPEST:
            return False
        return any(
            rule.action is Action.ACCEPT
            or (
                rule.action in (Action.JUMP, Action.GOTO)
                and self._accepts(self.chains.get(rule.target), depth + 1)
            )
            for rule in chain.rules
        )

    def _held(self, rule: FilterRule) -> bool | None:
        """Whether all conditions hold; None where that is not known."""
        known = [self._compared(condition) for condition in rule.conditions]
        if False in known:
            return False
        return None if None in known else True

    def _compared(self, condition: Condition) -> bool | None:
        result = _COMPARED[condition.field](self.packet, condition.values)
        return None if result is None else result is not condition.negated


def _address(address: Address | None, values: Sequence[str]) -> bool | None:
    results = [_within(address, value) for value in values]
    return True if True in results else None if None in results else False


def _within(address: Address | None, value: str) -> bool | None:
    first, dash, last = value.partition("-")
    try:
        if dash:
            low, high = ip_address(first), ip_address(last)
            if address is None or address.version != low.version:
                return None if address is None else False
            return int(low) <= int(address) <= int(high)
        network = ip_network(value, strict=False)
    except ValueError:
        return None  # a name, or a set
    if network.prefixlen == 0 and address is None:
        return True
    return None if address is None else address in network


def _protocol(packet: Packet, values: Sequence[str]) -> bool | None:
    if {"all", "0"} & set(values):
        return True
    if packet.port is None:
        return None
    return bool({"tcp", "6"} & set(values))


def _port(packet: Packet, values: Sequence[str]) -> bool | None:
    if packet.port is None:
        return None
    doubt: bool | None = False
    for value in values:
        low, _, high = value.replace(":", "-").partition("-")
        if not is_decimal(low or "0") or not is_decimal(high or "0"):
            doubt = None  # the name of a service, or a set
        elif int(low or 0) <= packet.port <= int(high or (0xFFFF if value != low else low)):
            return True
    return doubt


def _state(packet: Packet, values: Sequence[str]) -> bool | None:
    return "new" in [value.lower() for value in values]


_COMPARED: Mapping[Field, Callable[[Packet, Sequence[str]], bool | None]] = {
    Field.SOURCE: lambda packet, values: _address(packet.source, values),
    Field.DESTINATION: lambda packet, values: _address(packet.destination, values),
    Field.PROTOCOL: _protocol,
    Field.PORT: _port,
    Field.STATE: _state,
    Field.FAMILY: lambda packet, values: f"ipv{packet.version}" in values,
    Field.NEVER: lambda packet, values: False,
    Field.UNKNOWN: lambda packet, values: None,
}
