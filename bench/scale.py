"""`python -m bench.scale`: what it costs to judge and report the saved evidence of a fleet.

Processor time and memory of `invoke judge`, and the sizes of its files, for 100 and 1,000 hosts; no
host is contacted. Exit status: 0 targets reached, 1 a target missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench import fleet
from hale.paths import ROOT

SIZES = (100, 1000)
INVOKE = Path(sys.executable).with_name("invoke")


class Cost(NamedTuple):
    """What one run took: seconds of processor time, and MiB."""

    seconds: float
    memory: float
    results: float
    page: float


#: Of 1,000 hosts, at most.
TARGET = Cost(seconds=25.0, memory=400.0, results=40.0, page=10.0)
GROWTH = 13.0  # times the processor time, for ten times the hosts


def measure(hosts: int, folder: Path) -> Cost:
    """Judge a fleet of so many hosts in a process of its own."""
    evidence, inventory = fleet.write(folder, hosts)
    reports = folder / "reports"
    words = ["judge", str(evidence), f"--inventory={inventory}", f"--reports={reports}"]
    process = subprocess.Popen([INVOKE, *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"invoke judge: exit status {process.returncode}")
    (made,) = reports.glob("*-audit")
    return Cost(
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
        _mib(made / "results.json"),
        _mib(made / "report.html"),
    )


def _mib(path: Path) -> float:
    return path.stat().st_size / (1 << 20)


def missed(costs: dict[int, Cost]) -> list[str]:
    """The targets that were missed, a line each."""
    largest = costs[max(costs)]
    lines = [
        f"{name}: {cost:.1f}, and {most:g} are the most"
        for name, cost, most in zip(Cost._fields, largest, TARGET, strict=True)
        if cost > most
    ]
    growth = largest.seconds / costs[min(costs)].seconds
    if growth > GROWTH:
        lines.append(f"growth: {growth:.1f} times, and {GROWTH:g} are the most")
    return lines


def main() -> int:
    """Measure each size and print a table."""
    argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__).parse_args()
    costs = {}
    print(f"{'hosts':>6} {'CPU s':>8} {'MiB':>8} {'results.json':>13} {'report.html':>12}")
    for hosts in SIZES:
        with tempfile.TemporaryDirectory(prefix="hale-bench-") as folder:
            costs[hosts] = cost = measure(hosts, Path(folder))
        sizes = f"{cost.results:>9.1f} MiB {cost.page:>8.1f} MiB"
        print(f"{hosts:>6} {cost.seconds:>8.1f} {cost.memory:>8.0f} {sizes}", flush=True)
    found = missed(costs)
    print("\n".join(found) or "all targets reached")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
