"""`python -m bench failover`: the downtime when the VIP's owner loses haproxy, apiserver or power.

It needs a lab with a cluster: the one that HALE_CLUSTER_LAB names, or one that it starts and
installs. A round injects the three faults in turn; the result is the median of each. Client,
injection and revert are those of `invoke drill`.

Exit status: 0 targets reached, 1 a target missed, 2 nothing could be measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import report
from bench.lab_with_mirror import GIVEN, lab_with_mirror
from hale.apply.cluster_lock import locks_held
from hale.apply.lock import Owner
from hale.drill import journal, revert
from hale.drill.actions import ActionFailed
from hale.drill.experiment import DrillRun
from hale.drill.fault import Fault
from hale.drill.journal import DrillHeader, DrillJournal
from hale.drill.live_view import LiveView
from hale.drill.sampler import SamplerStopped
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.drill import FaultKind, Measurement
from hale.paths import ROOT
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_of
from lab.machine import Lab, LabError, LabUnavailable
from lab.power import LabPower

FAULTS = {
    FaultKind.MASTER: "its power",
    FaultKind.VIP: "its haproxy",
    FaultKind.APISERVER: "its apiserver",
}
TARGET = 2.0  # seconds, for the median of each
RESULTS = ROOT / "bench" / "results.md"
TITLE = "Downtime at a failover"


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench failover", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how many of each (default: 5)")
    rounds: int = parser.parse_args(words).rounds
    console = Console(highlight=False)
    try:
        with cluster(console) as lab, tempfile.TemporaryDirectory() as folder:
            load = os.getloadavg()[0]
            measured = measure(lab, Path(folder), rounds)
    except (
        LabUnavailable,
        LabError,
        ActionFailed,
        SamplerStopped,
        subprocess.CalledProcessError,
    ) as error:
        console.print(f"nothing measured: {error}", style="red", markup=False)
        return 2
    console.print(table(measured))
    if rounds >= 5:
        report.write_section(RESULTS, TITLE, markdown(measured, (load, os.getloadavg()[0])))
        console.print("written: bench/results.md")
    return 0 if all(median(waits(m)) <= TARGET for m in measured.values()) else 1


@contextmanager
def cluster(console: Console) -> Iterator[Lab]:
    """A lab with a cluster on it."""
    with lab_with_mirror(console, "failover") as lab:
        if not os.environ.get(GIVEN):
            invoke = Path(sys.executable).with_name("invoke")
            subprocess.run(
                [invoke, "install", "--fix", "--yes", f"--inventory={lab.inventory}"],
                cwd=ROOT,
                check=True,
            )
        yield lab


def measure(lab: Lab, folder: Path, rounds: int) -> Mapping[FaultKind, Sequence[Measurement]]:
    """Inject each kind once a round, on the VIP's owner at that moment."""
    known = ini.load_inventory(lab.inventory)
    found: dict[FaultKind, list[Measurement]] = {kind: [] for kind in FAULTS}
    with LiveView() as screen:
        for number in range(1, rounds + 1):
            for kind in FAULTS:
                screen.log("", f"round {number} of {rounds}: {FAULTS[kind]}")
                found[kind].append(one(lab, known, folder / f"{number}-{kind}", kind, screen))
                screen.log("", f"downtime: {found[kind][-1].longest_downtime:.2f} s")
    return found


def one(lab: Lab, known: Inventory, folder: Path, kind: FaultKind, screen: LiveView) -> Measurement:
    """One fault, reverted and recovered on return. Raises ActionFailed if it proves nothing."""
    folder.mkdir()
    vip_holder, power = holder(lab, known), LabPower(lab)
    hosts = [h.name for h in known.hosts]
    owner = Owner("bench", "here", folder.name, "")
    header = DrillHeader(
        journal.SCHEMA,
        owner,
        str(known.path),
        (kind,),
        on_production=False,
    )
    with (
        SessionPool(targets_of(known)) as sessions,
        locks_held(sessions, hosts, hosts, owner, stale=False, report=screen.log) as locks,
        closing(DrillJournal(folder, header)) as book,
    ):
        try:
            measured = DrillRun(
                inventory=known,
                locks=locks,
                folder=folder / kind,
                fault=Fault(kind, vip_holder),
                client=next(h.name for h in known.hosts if "masters" not in h.groups),
                watcher=next(h.name for h in known.masters if h.name != vip_holder),
                replicas=0,
                power=power,
                journal=book,
                view=screen,
                brief=True,
            ).run()
        finally:
            if history := journal.load_drill(folder):
                revert.revert_all(history, locks, power, book.write, screen.log)
    if measured.invalid_because:
        raise ActionFailed(measured.invalid_because)
    return measured


def holder(lab: Lab, known: Inventory) -> str:
    """The master that owns the VIP. Raises ActionFailed unless there is exactly one."""
    ask = f"ip -o address show to {known.endpoint.vip}"
    found = [h.name for h in known.masters if lab[h.name].run(ask).stdout.strip()]
    if len(found) != 1:
        raise ActionFailed(f"the VIP is on {' and '.join(found) or 'no master'}")
    return found[0]


def waits(measured: Sequence[Measurement]) -> list[float]:
    """The longest downtime of each."""
    return [m.longest_downtime for m in measured]


def table(measured: Mapping[FaultKind, Sequence[Measurement]]) -> Table:
    shown = Table("the VIP's owner loses", "median", "min – max", "failed requests", box=None)
    for kind, all_ in measured.items():
        shown.add_row(FAULTS[kind], *_cells(all_))
    return shown


def _cells(all_: Sequence[Measurement]) -> tuple[str, str, str]:
    times = waits(all_)
    failed = sum(m.failed_requests for m in all_)
    return (
        f"{median(times):.2f} s",
        f"{min(times):.2f} – {max(times):.2f} s",
        f"{failed} of {sum(m.requests for m in all_)}",
    )


def markdown(measured: Mapping[FaultKind, Sequence[Measurement]], load: tuple[float, float]) -> str:
    """The section of bench/results.md."""
    lines = [
        f"# {TITLE}",
        "",
        f"Written by `python -m bench failover` on {report.utc_text(time.time())}. A client "
        "requests `/readyz` through the VIP every 50 ms, each time over a new connection; the "
        "downtime is the longest time between two successful requests in which others failed, "
        "after a fault on the VIP's owner. Five hosts of the lab on one machine.",
        "",
        "| the VIP's owner loses | median | min – max | failed requests | at most 2 s |",
        "|---|---:|---:|---:|---|",
    ]
    for kind, all_ in measured.items():
        reached = "reached" if median(waits(all_)) <= TARGET else "**MISSED**"
        lines.append(f"| {FAULTS[kind]} | {' | '.join(_cells(all_))} | {reached} |")
    runs = len(next(iter(measured.values())))
    lines += [
        "",
        f"{runs} rounds; {os.cpu_count()} CPUs, load average {load[0]:.1f} before and "
        f"{load[1]:.1f} after. Each time: "
        + "; ".join(
            f"{FAULTS[p]} {', '.join(f'{w:.2f}' for w in waits(a))} s" for p, a in measured.items()
        )
        + ".",
        "",
    ]
    return "\n".join(lines)
