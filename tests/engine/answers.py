"""An inventory of one worker, and hosts that have answered which versions they run."""

from pathlib import Path
from typing import Any

from facts import node_versions
from hale.audit.audit import Audit
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.inventory.selection import SelectedHost
from hale.model.evidence import Evidence, File, FileProbe, Output
from hale.model.requirement import Case
from hale.standard import loader

STANDARD = loader.load_standard(Path(__file__).parents[2] / "standard")
HOSTS = "[workers]\nw1\n[all:vars]\nvip=192.0.2.1\nvip_port=1\nvip_names=api.example\n"


def inventory(folder: Path, *lines: str) -> Inventory:
    path = folder / "inventory.ini"
    path.write_text(HOSTS + "".join(f"{line}\n" for line in lines))
    return ini.load_inventory(path)


def audit(known: Inventory) -> Audit:
    chosen = tuple(SelectedHost(host) for host in known.hosts)

    def no_transport(_: SelectedHost) -> Any:
        raise AssertionError("a host was asked")

    return Audit(known, STANDARD, "extended", chosen, no_transport, 1.0)


def case_of(run: Audit, requirement: str) -> Case[Any]:
    return next(c for c in run.cases if c.requirement.id == requirement and c.aspect == "runtime")


def answered(run: Audit, programs: str, host: str = "w1", kernel: str = "4.18.0-553.el8") -> None:
    """The host's answer to the probe of its versions; it is one of CentOS Stream 8."""
    files = {
        "/etc/os-release": ('NAME="CentOS Stream"', 'VERSION_ID="8"'),
        "/proc/sys/kernel/osrelease": (kernel,),
    }
    empty = [
        pattern
        for probe in node_versions.probes(run.inventory.hosts[0], [case_of(run, "NODE-CGROUP-V2")])
        if isinstance(probe, FileProbe)
        for pattern in probe.patterns
    ]
    run.hosts = {
        **run.hosts,
        host: Evidence(
            host,
            {"node_versions.programs": Output("node_versions.programs", 0, programs, "", 0.0)},
            {path: File(path, "f", None, 0.0, text) for path, text in files.items()},
            frozenset({*files, *map(str, empty)}),
        ),
    }
