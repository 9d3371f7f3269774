"""A node's kube-proxy: its mode, and whether its rules for the first Service actually exist.

A process counts if it is in the control group of a Pod kube-proxy-… of kube-system, or of a unit
with that name, and its answers if the socket is its own. It reports its mode. The rules are read
from where that mode keeps them, for the Service `default/kubernetes`, which every cluster has: the
hooks that intercept packets, the Service's address and port, and the apiservers behind it.
This detects a flushed ruleset, which kube-proxy itself does not notice; of nftables also one whose
chains, hooks and maps are there, and empty of rules (`nft flush table`).

Sources: kubernetes.io, "Virtual IPs and Service Proxies", kube-proxy(1) (metricsBindAddress,
healthzBindAddress), KEP-3866 (nftables); iptables-save(8); nft(8); the kernel's
net/netfilter/ipvs/ip_vs_ctl.c (/proc/net/ip_vs).
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from facts.parsers import nft_table
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.listeners import LISTENERS, foreign_owner
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import CommandProbe, ConfigLine, HostView, NotApplicable, Probe, Unreadable
from hale.model.requirement import Case
from hale.shell import PROCESSES, load_script

# `none`: the network plugin replaces kube-proxy.
Mode = Literal["ipvs", "iptables", "nftables", "none"]
SILENT = {
    28: "gives no answer in time",
    52: "closes the connection without an answer",
    56: "drops the connection",
}

SCRIPT = PRELUDE + PROCESSES + LISTENERS + load_script(Path(__file__).with_suffix(".sh"))
ADDRESS = "127.0.0.1"


class KubeProxyParameters(Struct, frozen=True):
    """The mode that the site has chosen."""

    mode: Mode


class KubeProxyRuntime(Struct, frozen=True):
    """Its mode, and the faults of kube-proxy or its rules."""

    mode: str
    faults: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        text = f"kube-proxy runs in mode {self.mode}" if self.mode else ""
        fine = "" if self.faults else "and its rules for default/kubernetes are there"
        return "; ".join(part for part in (f"{text} {fine}".strip(BLANKS), *self.faults) if part)


def probes(host: Host, cases: Sequence[Case[KubeProxyParameters]]) -> tuple[Probe, ...]:
    """One command, in parallel with other probes: a stopped kube-proxy does not answer."""
    return (CommandProbe("rules", SCRIPT, timeout=20, slow=True),)


def read_runtime(readings: HostView, case: Case[KubeProxyParameters]) -> KubeProxyRuntime:
    """kube-proxy's mode and the kernel's rules.

    Raises Unreadable where either is unknown, and NotApplicable where there is no kube-proxy, and
    the site wants none.
    """
    lines = readings.output("rules").lines
    unwanted = case.parameters.mode == "none"
    if lines == ["no process"] and unwanted:
        raise NotApplicable("the site has no kube-proxy; what replaces it is not judged")
    if lines == ["no process"]:
        return KubeProxyRuntime("", ("kube-proxy does not run",))
    if lines[:1] != ["process"]:
        raise Unreadable(f"the answer is garbled: {' '.join(lines)[:80]!r}")
    if unwanted:
        return KubeProxyRuntime("", ("kube-proxy runs, and the site wants none",))
    code, mode = _answer(lines, "mode")
    if code in SILENT:
        return KubeProxyRuntime("", (f"kube-proxy {SILENT[code]} on port 10249",))
    if code:
        raise Unreadable(f"kube-proxy runs, but its mode cannot be queried: {mode}")
    if (answer := re.fullmatch(r"(\w+) +@ 200", mode, re.ASCII)) is None:
        raise Unreadable(f"kube-proxy runs, and reports the mode {mode[:60]!r}")
    if owner := foreign_owner(lines, ADDRESS, 10249):
        return KubeProxyRuntime("", (f"kube-proxy runs, but port 10249 is of {owner}",))
    faults = []
    code, health = _answer(lines, "health")
    if code or not health.startswith("@ 200"):
        faults.append(f"kube-proxy is not healthy on port 10256: {health}")
    elif owner := foreign_owner(lines, ADDRESS, 10256):
        faults.append(f"kube-proxy runs, but port 10256 is of {owner}")
    rules = [
        line for line in lines if not line.startswith(("process", "socket ", "mode ", "health "))
    ]
    look = {"iptables": _iptables, "nftables": _nftables}.get(answer[1])
    faults += look(rules) if look else _ipvs(rules, case) if answer[1] == "ipvs" else []
    return KubeProxyRuntime(answer[1], tuple(faults))


def _answer(lines: Sequence[str], name: str) -> tuple[int, str]:
    for line in lines:
        if found := re.fullmatch(rf"{name} (\d+) (.*)", line, re.ASCII):
            return int(found[1]), re.sub(
                r" after \d+ (ms|milliseconds)", "", found[2].strip(BLANKS), flags=re.ASCII
            )
    raise Unreadable(f"the answer of {name} is incomplete")


def _iptables(rules: Sequence[str]) -> list[str]:
    """Hooks, the Service's address and an endpoint in iptables-save's `-A CHAIN … -j TARGET`."""
    hooks = {
        split_words(line)[1]
        for line in rules
        if line.startswith("-A ") and "-j KUBE-SERVICES" in line
    }
    chain = next(
        (
            line.rpartition(" -j ")[2].strip(BLANKS)
            for line in rules
            if line.startswith("-A KUBE-SERVICES ") and "default/kubernetes:https" in line
        ),
        "",
    )
    ends = [line for line in rules if line.startswith(f"-A {chain} ") and " -j KUBE-SEP-" in line]
    targets = [line for line in rules if line.startswith("-A KUBE-SEP-") and " -j DNAT" in line]
    faults = [
        f"iptables: nat's {hook} does not lead to KUBE-SERVICES: no Service is reached"
        for hook in ("PREROUTING", "OUTPUT")
        if hook not in hooks
    ]
    if not chain:
        faults.append("iptables: chain KUBE-SERVICES has no rule for default/kubernetes:https")
    elif not ends or not targets:
        faults.append("iptables: default/kubernetes:https leads to no apiserver")
    return faults


def _nftables(rules: Sequence[str]) -> list[str]:
    """The table kube-proxy of the family that has the Service; with faults, the better of both."""
    tables = [t for t in nft_table.read_tables(rules) if t.name == "kube-proxy"]
    if not tables:
        return ["nftables: there is no table kube-proxy: no Service is reached"]
    return min((_nft_faults(table) for table in tables), key=len)


def _nft_faults(table: nft_table.NftTable) -> list[str]:
    """What a packet to the Service's address meets: hooks, the map, its chain, each endpoint's."""
    faults = [
        f"nftables: table kube-proxy has no chain at hook {hook} that leads to services: "
        "no Service is reached"
        for hook in ("prerouting", "output")
        if not any(rule.endswith("jump services") for rule in table.based_at("nat", hook))
    ]
    if not any("vmap @service-ips" in rule for rule in table.chains.get("services", ())):
        faults.append("nftables: the chain services does not look into the map service-ips")
    elements = "\n".join(table.maps.get("service-ips", ()))
    service = re.search(
        r" tcp \. 443 : goto (service-\w+-default/kubernetes/tcp/https)\b", elements, re.ASCII
    )
    if service is None:
        return [*faults, "nftables: the table kube-proxy has no element for default/kubernetes"]
    return faults + _nft_service_faults(table, service[1])


def _nft_service_faults(table: nft_table.NftTable, name: str) -> list[str]:
    """What is wrong with the Service's chain, in either form of kube-proxy's.

    It picks the chain of an endpoint, which translates the address, or translates it by a map of
    its own. Raises Unreadable for another form.
    """
    rules = [r for r in table.chains.get(name, ()) if not r.endswith("jump mark-for-masquerade")]
    if not rules:
        return ["nftables: default/kubernetes leads to no apiserver"]
    ends = re.findall(
        r"\bgoto (endpoint-\w+-default/kubernetes/tcp/https\S*?)(?=[,\s]|$)",
        "\n".join(rules),
        re.ASCII,
    )
    if not ends and not any(" dnat " in rule for rule in rules):
        raise Unreadable(
            f"nftables: the chain {name} has a form that is not known: {rules[0][:80]}"
        )
    return [
        f"nftables: default/kubernetes leads to no apiserver by the chain {end}"
        for end in ends
        if not any(" dnat to " in rule for rule in table.chains.get(end, ()))
    ]


def _ipvs(rules: Sequence[str], case: Case[KubeProxyParameters]) -> list[str]:
    """`TCP  0A600001:01BB rr`, followed by `  -> 0AD001BF:192B …`."""
    if "no /proc/net/ip_vs" in rules:
        return ["ipvs: the kernel has no IPVS (/proc/net/ip_vs does not exist)"]
    first = case.inventory.cluster.service_cidr[1]
    spelled = f"{int(first):08X}" if first.version == 4 else f"[{first.exploded}]"
    for at, line in enumerate(rules):
        if line.startswith(f"TCP  {spelled}:01BB"):
            ends = rules[at + 1 : at + 2]
            if not ends or not ends[0].strip(BLANKS).startswith("->"):
                return [f"ipvs: {first}:443 leads to no apiserver"]
            return []
    return [f"ipvs: there is no virtual server {first}:443 (default/kubernetes)"]
