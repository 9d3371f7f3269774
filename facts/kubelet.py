"""The kubelet of a node: whether it runs and calls itself healthy, and whether a boot starts it.

Its health is asked where its own configuration has it listen on the loopback address. A kubelet
that systemd starts over and over is active for some seconds each time; only its answer counts.

Sources: kubernetes.io, kubelet(1), KubeletConfiguration v1beta1 (healthzBindAddress,
healthzPort); kubeadm, "Configuring each kubelet"; systemd.unit(5).
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from facts import units
from facts.shell import PRELUDE
from hale.fact import Command, Files, Probe, Readings, Source, Unreadable
from hale.inventory import Host
from hale.requirement import Case

CONFIG = "/var/lib/kubelet/config.yaml"
SHOWN = ("LoadState", "ActiveState", "SubState")
SILENT = {
    7: "does not listen",
    28: "gives no answer in time",
    52: "closes the connection without an answer",
    56: "breaks the connection off",
}


class Parameters(Struct, frozen=True):
    """The kubelet's unit."""

    unit: str


class Runtime(Struct, frozen=True):
    """Whether it is healthy, and why not."""

    healthy: bool
    actual: str
    sources: tuple[Source, ...] = ()


class Persisted(Struct, frozen=True):
    """Why a boot does not start it; empty where it does."""

    unit: str
    faults: tuple[str, ...]
    sources: tuple[Source, ...] = ()

    @property
    def actual(self) -> str:
        return "; ".join(self.faults) or f"{self.unit} starts at boot"


def probes(host: Host, cases: Sequence[Case[Parameters]]) -> tuple[Probe, ...]:
    """Its unit's links, and one command beside the others: a stopped kubelet does not answer."""
    unit = cases[0].parameters.unit
    return (
        Files(*units.file_patterns(unit), *units.pull_patterns(unit)),
        Command("healthz", _script(unit), timeout=15, slow=True),
    )


def _script(unit: str) -> str:
    return f"""{PRELUDE}
need systemctl sed curl tr
systemctl show {unit} --property={",".join(SHOWN)} || exit
enter /var/lib/kubelet
[ -e {CONFIG} ] || {{ echo "no {CONFIG}"; exit 0; }}
readable {CONFIG}
at=$(sed -n 's/^healthzBindAddress: *"\\{{0,1\\}}\\([0-9a-f.:]*\\).*/\\1/p' {CONFIG})
port=$(sed -n 's/^healthzPort: *\\([0-9]*\\).*/\\1/p' {CONFIG})
case $at in ''|0.0.0.0|::) at=127.0.0.1 ;; *:*) at="[$at]" ;; esac
url=http://$at:${{port:-10248}}/healthz
said=$(curl -q -sS --noproxy '*' --connect-timeout 2 --max-time 5 "$url" 2>&1); r=$?
printf 'healthz %s %s %s\\n' "$url" "$r" "$(flat "$said")"
"""


def runtime(readings: Readings, case: Case[Parameters]) -> Runtime:
    """What systemd and the kubelet say. Raises Unreadable where neither tells."""
    unit = case.parameters.unit
    lines = readings.output("healthz").lines
    state = dict(line.split("=", 1) for line in lines if line.startswith(SHOWN) and "=" in line)
    if "ActiveState" not in state:
        raise Unreadable(f"systemctl show {unit} says no ActiveState")
    if state.get("LoadState") == "not-found":
        return Runtime(False, f"{unit} is not installed")
    now = f"{state['ActiveState']} ({state.get('SubState')})"
    if f"no {CONFIG}" in lines:
        return Runtime(False, f"there is no {CONFIG}: this host is no node yet; {unit} is {now}")
    found = re.fullmatch(r"healthz (\S+) (\d+) (.*)", lines[-1])
    if not found:
        raise Unreadable("there is no whole answer of healthz")
    url, code, said = found[1], int(found[2]), found[3].strip()
    if code in SILENT:
        return Runtime(False, f"the kubelet {SILENT[code]} on {url}; systemd says {now}")
    if code:
        raise Unreadable(f"{url}: {said}")
    if said != "ok":
        return Runtime(False, f"{url} says {said[:80]!r}; systemd says {now}")
    if state["ActiveState"] != "active":
        return Runtime(False, f"a kubelet answers on {url}, but {unit} is {now}")
    return Runtime(True, f"{url} says ok; {unit} is {now}")


def persisted(readings: Readings, case: Case[Parameters]) -> Persisted:
    """What the unit's files and links say. Raises Unreadable."""
    unit = case.parameters.unit
    return Persisted(unit, tuple(units.not_at_boot(readings, unit)))
