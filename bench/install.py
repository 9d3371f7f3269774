"""`python -m bench install`: the time of an install, against kubeadm's own part of it.

It needs a lab with a mirror: the one that HALE_CLUSTER_LAB names (its cluster is reset first), or
one that it starts. A round resets the cluster with its packages and installs it. Kubeadm's part is
the time in which any of its own programs ran: the pull of the first master's images, which init
would do itself, init, the masters' joins in turn, and the workers' joins in parallel. The result
is the median of the total over kubeadm's part, from the start of the first phase to the end of the
last; the times with the audits before and after are reported too.

Exit status: 0 target reached, 1 missed, 2 nothing could be measured.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from bench import report
from bench.lab_with_mirror import lab_with_mirror
from hale.apply import journal
from hale.apply.journal import RunHistory
from hale.install import engine
from hale.paths import ROOT
from lab.machine import Lab, LabError, LabUnavailable

TARGET = 1.2  # times kubeadm's own part
RESULTS = ROOT / "bench" / "results.md"
TITLE = "Time to install"

OUTPUT = 3000  # characters that are shown of a command that failed


@dataclass(frozen=True)
class InstallTimings:
    """One install, in seconds. total: of the command, with its audits; phases_total: from the first
    phase to the last; joined: kubeadm's part without the pull."""

    total: float
    phases_total: float
    kubeadm: float
    joined: float
    phases: dict[str, float]

    @property
    def times(self) -> float:
        """The time of the phases over kubeadm's part."""
        return self.phases_total / self.kubeadm

    @property
    def without_pull(self) -> float:
        """The same ratio without the pull."""
        return self.phases_total / self.joined


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench install", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how many installs (default: 3)")
    rounds: int = parser.parse_args(words).rounds
    console = Console(highlight=False)
    try:
        with lab_with_mirror(console, "install") as lab, tempfile.TemporaryDirectory() as folder:
            load = os.getloadavg()[0]
            measured = []
            for number in range(1, rounds + 1):
                measured.append(one(lab, Path(folder, str(number))))
                console.print(f"  round {number}  {_summary(measured[-1])}")
    except subprocess.CalledProcessError as error:
        console.print(error.stdout[-OUTPUT:], style="red", markup=False)
        console.print(f"nothing measured: {error}", style="red", markup=False)
        return 2
    except (LabUnavailable, LabError) as error:
        console.print(f"nothing measured: {error}", style="red", markup=False)
        return 2
    console.print(table(measured))
    if rounds >= 3:
        report.write_section(RESULTS, TITLE, markdown(measured, (load, os.getloadavg()[0])))
        console.print("written: bench/results.md")
    return 0 if median(m.times for m in measured) <= TARGET else 1


def one(lab: Lab, reports: Path) -> InstallTimings:
    """Reset the hosts, packages and images too, and install. Raises CalledProcessError."""
    _invoke(lab, reports, "reset", "--cluster-name=kubernetes", "--packages")
    for host in lab.hosts:
        host.run("find /var/lib/containerd -mindepth 1 -delete", timeout=120)
    _invoke(lab, reports, "install", "--fix", "--until=gate")
    begun = time.monotonic()
    _invoke(lab, reports, "install")
    total = time.monotonic() - begun
    (folder,) = (p.parent for p in reports.glob(f"*-install/{journal.NAME}"))
    return of(journal.load_run(folder), total)


def _invoke(lab: Lab, reports: Path, task: str, *options: str) -> None:
    invoke = Path(sys.executable).with_name("invoke")
    subprocess.run(
        [invoke, task, *options, "--yes", f"--inventory={lab.inventory}", f"--reports={reports}"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )


def of(history: RunHistory, total: float) -> InstallTimings:
    """The timings from an install's journal. The run must have ended."""
    assert history.end is not None
    return InstallTimings(
        total=total,
        phases_total=_moment(history.end.at) - _moment(history.header.at),
        kubeadm=engine.kubeadm_seconds(history.acts),
        joined=engine.kubeadm_seconds(a for a in history.acts if a.phase != "images"),
        phases={name: phase.seconds for name, phase in history.phases.items()},
    )


def _moment(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _summary(one: InstallTimings) -> str:
    return (
        f"{one.phases_total:.0f} s, kubeadm {one.kubeadm:.0f} s of it: {one.times:.2f} x "
        f"({one.without_pull:.2f} x of init and joins); {one.total:.0f} s with both audits"
    )


def table(measured: Sequence[InstallTimings]) -> Table:
    shown = Table("phase", "median", "min – max", box=None)
    for name in measured[0].phases:
        shown.add_row(name, *_cells([m.phases[name] for m in measured]))
    shown.add_row("all phases", *_cells([m.phases_total for m in measured]))
    shown.add_row("kubeadm's own", *_cells([m.kubeadm for m in measured]))
    return shown


def _cells(seconds: Sequence[float]) -> tuple[str, str]:
    return f"{median(seconds):.1f} s", f"{min(seconds):.1f} – {max(seconds):.1f}"


def markdown(measured: Sequence[InstallTimings], load: tuple[float, float]) -> str:
    """The section of bench/results.md."""
    times = [m.times for m in measured]
    rest = [m.without_pull for m in measured]
    reached = "reached" if median(times) <= TARGET else "MISSED"
    lines = [
        f"# {TITLE}",
        "",
        f"Written by `python -m bench install` on {report.utc_text(time.time())}. {len(measured)} "
        "installs of five hosts of the lab on one machine, each from hosts without packages, with "
        "all images to pull; kubeadm's own part is the time in which any of these ran: the pull of "
        "the first master's images, which init would do itself, init, the joins. Independent "
        "phases and hosts run in parallel: the sum of the phases exceeds the total, and each phase "
        "lasts until its last host is done.",
        "",
        f"- {reached}: an install takes at most {TARGET} x kubeadm's own part: {median(times):.2f}"
        f" x ({min(times):.2f} – {max(times):.2f})",
        f"- over init and joins alone: {median(rest):.2f} x ({min(rest):.2f} – {max(rest):.2f})",
        "",
        "| phase | median | min – max |",
        "|---|---:|---:|",
    ]
    for name in measured[0].phases:
        lines.append(f"| {name} | {' | '.join(_cells([m.phases[name] for m in measured]))} |")
    for title, seconds in (
        ("**all phases**", [m.phases_total for m in measured]),
        ("kubeadm's own part of it", [m.kubeadm for m in measured]),
        ("with the audits before and after", [m.total for m in measured]),
    ):
        lines.append(f"| {title} | {' | '.join(_cells(seconds))} |")
    lines += [
        "",
        f"{os.cpu_count()} CPUs, load average {load[0]:.1f} before and {load[1]:.1f} after.",
        "",
    ]
    return "\n".join(lines)
