"""A node's kubelet: whether it runs and reports itself healthy, and whether it starts at boot.

The health request goes to the loopback address and port of the kubelet's own configuration. A
kubelet that systemd restarts over and over is active for some seconds each time, so only its
answer counts. After a boot it does not work without its configured container runtime.

Sources: kubernetes.io, kubelet(1) (--container-runtime-endpoint), KubeletConfiguration v1beta1
(healthzBindAddress, healthzPort, containerRuntimeEndpoint); kubeadm, "Configuring each kubelet";
systemd.unit(5).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from facts.parsers import (
    boot_commands,
    boot_files,
    boot_target,
    kubelet_config,
    service_commands,
    systemd_units,
    unit_settings,
)
from facts.parsers.blanks import BLANKS
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    Probe,
    Selection,
    Unreadable,
    select,
)
from hale.model.requirement import Case
from hale.shell import script_with

# kubeadm merges this file into the kubelet's when it writes that: a flag wins over both.
INSTANCE = "/var/lib/kubelet/instance-config.yaml"
_ENDPOINT = re.compile(r"""containerRuntimeEndpoint:[ \t]*["']?([^\s"']+)""", re.ASCII)
DEFAULT = "unix:///run/containerd/containerd.sock"
# The unit of each runtime, by the name of its socket.
RUNTIMES = {
    "containerd.sock": "containerd.service",
    "crio.sock": "crio.service",
    "cri-dockerd.sock": "cri-docker.service",
}
SHOWN = ("LoadState", "ActiveState", "SubState")
SILENT = {
    7: "does not listen",
    28: "gives no answer in time",
    52: "closes the connection without an answer",
    56: "drops the connection",
}


class KubeletParameters(Struct, frozen=True):
    """The kubelet's unit."""

    unit: str


class KubeletRuntime(Struct, frozen=True):
    """Whether it is healthy; actual: the reason, in words."""

    healthy: bool
    actual: str
    sources: tuple[ConfigLine, ...] = ()


class KubeletPersisted(Struct, frozen=True):
    """faults: why a boot does not start the kubelet or its runtime; empty where it starts both.

    runtime: the runtime's unit, where this host is a node and the unit is known.
    """

    unit: str
    faults: tuple[str, ...]
    runtime: str = ""
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        both = f"{self.unit} and {self.runtime} start" if self.runtime else f"{self.unit} starts"
        return "; ".join(self.faults) or f"{both} at boot"


def probes(host: Host, cases: Sequence[Case[KubeletParameters]]) -> tuple[Probe, ...]:
    """The units' files and links, and one request, in parallel with other probes: a stopped
    kubelet does not answer."""
    unit = cases[0].parameters.unit
    return (
        FileProbe(
            *systemd_units.existence(unit, *RUNTIMES.values()),
            *(p for name in RUNTIMES.values() for p in unit_settings.patterns(name)),
            *select(
                Selection("[[:space:]]*(Wants|Requires|BindsTo)[[:space:]]*="),
                *systemd_units.file_patterns(unit),
                *systemd_units.dropin_patterns(unit),
            ),
            *boot_target.FILES,
            *select(Selection("[[:space:]]*containerRuntimeEndpoint"), INSTANCE),
            *kubelet_config.PATTERNS,
            *unit_settings.patterns(unit),
        ),
        boot_files.PROBE,
        *boot_commands.probes(cases),
        CommandProbe("healthz", _script(unit), timeout=15, slow=True),
    )


def _script(unit: str) -> str:
    file = Path(__file__).with_suffix(".sh")
    return PRELUDE + script_with(file, unit=unit, shown=",".join(SHOWN), config=kubelet_config.PATH)


def read_runtime(readings: HostView, case: Case[KubeletParameters]) -> KubeletRuntime:
    """The state that systemd and the kubelet report. Raises Unreadable where neither does."""
    unit = case.parameters.unit
    lines = readings.output("healthz").lines
    state = dict(line.split("=", 1) for line in lines if line.startswith(SHOWN) and "=" in line)
    if "ActiveState" not in state:
        raise Unreadable(f"systemctl show {unit} prints no ActiveState")
    if state.get("LoadState") == "not-found":
        return KubeletRuntime(False, f"{unit} is not installed")
    now = f"{state['ActiveState']} ({state.get('SubState')})"
    if f"no {kubelet_config.PATH}" in lines:
        return KubeletRuntime(
            False,
            f"there is no {kubelet_config.PATH}: this host is not a node yet; {unit} is {now}",
        )
    found = re.fullmatch(r"healthz (\S+) (\d+) (.*)", lines[-1], re.ASCII)
    if not found:
        raise Unreadable("the answer of healthz is incomplete")
    url, code, body = found[1], int(found[2]), found[3].strip(BLANKS)
    if code in SILENT:
        return KubeletRuntime(False, f"the kubelet {SILENT[code]} on {url}; systemd says {now}")
    if code:
        raise Unreadable(f"{url}: {body}")
    if body != "ok":
        return KubeletRuntime(False, f"{url} says {body[:80]!r}; systemd says {now}")
    if state["ActiveState"] != "active":
        return KubeletRuntime(False, f"a kubelet answers on {url}, but {unit} is {now}")
    return KubeletRuntime(True, f"{url} says ok; {unit} is {now}")


def read_persisted(readings: HostView, case: Case[KubeletParameters]) -> KubeletPersisted:
    """Whether the unit's files and links start it at boot. Raises Unreadable."""
    unit = case.parameters.unit
    faults = boot_target.boot_problems(readings, unit)
    if not faults:
        faults = _not_run(readings, unit)
    runtime = "" if faults else _runtime(readings)
    if runtime and not _pulled_by(readings, unit, runtime):
        faults = boot_target.boot_problems(readings, runtime)
    if runtime and not faults:
        faults = _not_run(readings, runtime)
    if not faults:
        boot_files.refuse_files(readings, _deciding(readings, unit, runtime))
        for name in filter(None, (unit, runtime)):
            service_commands.refuse_stops(readings, name)
    return KubeletPersisted(unit, tuple(faults), runtime)


def _not_run(readings: HostView, unit: str) -> list[str]:
    """Why the unit, which starts, does not run its program."""
    program = unit.removesuffix(".service")
    why = unit_settings.not_run(readings, unit, program, present=_present(readings))
    return [why] if why else []


def _deciding(readings: HostView, unit: str, runtime: str) -> list[File]:
    """The files by which a boot starts both as they are now."""
    return [
        *readings.files(kubelet_config.PATH, INSTANCE, *kubelet_config.OPTION_FILES),
        *(f for name in (unit, runtime) if name for f in unit_settings.files(readings, name)),
    ]


def _present(readings: HostView) -> list[str]:
    """The kubelet's files that a condition may demand."""
    files = readings.files(kubelet_config.PATH, *kubelet_config.OPTION_FILES)
    return [file.path for file in files if file.kind == "f" and file.content]


def _runtime(readings: HostView) -> str:
    """The unit of the runtime that this node's kubelet uses; empty where it is unknown."""
    if readings.file(kubelet_config.PATH) is None:
        return ""
    endpoint = DEFAULT
    if found := kubelet_config.option(readings, "container-runtime-endpoint"):
        endpoint = found[0]
    elif named := _in_instance(readings):
        endpoint = named
    elif found := kubelet_config.setting(readings, "containerRuntimeEndpoint"):
        endpoint = found[0]
    return RUNTIMES.get(endpoint.rpartition("/")[2], "")


def _in_instance(readings: HostView) -> str:
    file = readings.file(INSTANCE)
    found = next(filter(None, map(_ENDPOINT.match, file.lines if file else ())), None)
    return found[1] if found else ""


def _pulled_by(readings: HostView, unit: str, other: str) -> bool:
    """Whether the unit itself pulls in the other one."""
    files = readings.files(*systemd_units.file_patterns(unit), *systemd_units.dropin_patterns(unit))
    line = re.compile(
        rf"\s*(?:Wants|Requires|BindsTo)\s*=(?:.*\s)?{re.escape(other)}(?:\s|$)", re.ASCII
    )
    return any(line.match(text) for file in files for text in file.content or ())
