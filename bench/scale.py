"""`python -m bench.scale`: what it costs to judge and report the saved evidence of a fleet.

Processor time and memory of `invoke judge`, the sizes of its files, and how fast report.html is in
headless Chromium, for 100 and 1,000 hosts; no host is contacted. Written to bench/results.md.
Exit status: 0 targets reached, 1 a target missed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import NamedTuple

from bench import fleet, report
from hale.paths import ROOT
from tests.reports.browser import Browser

TITLE = "Time to judge and report a fleet"
RESULTS = ROOT / "bench" / "results.md"
SIZES = (100, 1000)
INVOKE = Path(sys.executable).with_name("invoke")
ROUNDS = 5  # of opening the page, and of each filter
WORDS = ("nofile", "k8s-node-05", "swap", "ip_forward 0")  # as a reader types them


class Cost(NamedTuple):
    """What one run took: seconds of processor time and MiB; and its page: seconds, milliseconds."""

    seconds: float
    memory: float
    results: float
    page: float
    opened: float
    filtered: float


COLUMNS = ("CPU s", "MiB", "results.json MiB", "report.html MiB", "opens, s", "filter, ms")
#: Of 1,000 hosts, at most.
TARGET = Cost(25.0, 400.0, 40.0, 10.0, 2.0, 100.0)
GROWTH = 13.0  # times the processor time, for ten times the hosts
# From the key until the rows stand there and a frame is drawn.
_FILTER = """new Promise(done => {
  const field = document.getElementById('filters').elements.q;
  field.value = WORD;
  const began = performance.now();
  const look = () => location.hash.includes('q=') ? done(performance.now() - began)
    : requestAnimationFrame(look);
  field.dispatchEvent(new Event('input', {bubbles: true}));
  requestAnimationFrame(look);
})"""
_CLEAR = "document.getElementById('clear').click()"


def measure(hosts: int, folder: Path) -> Cost:
    """Judge a fleet of so many hosts in a process of its own, and read its page."""
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
        *read_page(made / "report.html", folder / "chromium"),
    )


def read_page(page: Path, profile: Path) -> tuple[float, float]:
    """Seconds until the page is open with its rows, and milliseconds of the slowest filter.

    Of each the best of some rounds: the machine is shared.
    """
    browser = Browser(profile)
    opened, filtered = [], dict.fromkeys(WORDS, inf)
    try:
        browser.show(1280, 800)
        for _ in range(ROUNDS):
            began = time.monotonic()
            browser.open(page)
            drawn = browser.evaluate("document.querySelectorAll('#results-table > tbody').length")
            opened.append(time.monotonic() - began)
            if not drawn:
                raise SystemExit(f"{page} shows no results")
            for word in WORDS:
                took = browser.evaluate(_FILTER.replace("WORD", json.dumps(word)))
                filtered[word] = min(filtered[word], took)
                browser.evaluate(_CLEAR)
    finally:
        browser.close()
    return min(opened), max(filtered.values())


def _mib(path: Path) -> float:
    return path.stat().st_size / (1 << 20)


def verdicts(costs: Mapping[int, Cost]) -> list[tuple[bool, str]]:
    """Each target: whether it was reached, and a line about it."""
    largest = costs[max(costs)]
    found = [
        (cost <= most, f"{max(costs)} hosts, {name}: {cost:.1f}, at most {most:g}")
        for name, cost, most in zip(COLUMNS, largest, TARGET, strict=True)
    ]
    growth = largest.seconds / costs[min(costs)].seconds
    text = f"CPU time grows {growth:.1f} times from {min(costs)} to {max(costs)} hosts"
    return [*found, (growth <= GROWTH, f"{text}, at most {GROWTH:g}")]


def markdown(costs: Mapping[int, Cost], load: tuple[float, float]) -> str:
    """The section of bench/results.md."""
    lines = [
        f"# {TITLE}",
        "",
        f"Written by `python -m bench.scale` on {report.utc_text(time.time())}. `invoke judge` of "
        "recorded evidence, one worker's copied with other names, addresses and some faults; its "
        f"page in headless Chromium: the best of {ROUNDS} times opening it with its rows, because "
        f"the machine is shared, and the slowest of {len(WORDS)} filters, each the best of "
        f"{ROUNDS}, from the key to the drawn frame.",
        "",
        *(f"- {'reached' if good else 'MISSED'}: {text}" for good, text in verdicts(costs)),
        "",
        f"| hosts | {' | '.join(COLUMNS)} |",
        f"|---:|{'---:|' * len(COLUMNS)}",
        *(f"| {n} | {' | '.join(f'{c:.1f}' for c in cost)} |" for n, cost in costs.items()),
        "",
        *report.machine_table(load, ("pytest", "msgspec")),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure each size, print a table, and write it."""
    argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__).parse_args()
    costs = {}
    load = os.getloadavg()[0]
    print(" ".join(["hosts", *(f"{name:>17}" for name in COLUMNS)]))
    for hosts in SIZES:
        with tempfile.TemporaryDirectory(prefix="hale-bench-") as folder:
            costs[hosts] = measure(hosts, Path(folder))
        print(" ".join([f"{hosts:>5}", *(f"{cost:>17.1f}" for cost in costs[hosts])]), flush=True)
    found = verdicts(costs)
    print("\n".join(f"{'reached' if good else 'MISSED'}: {text}" for good, text in found))
    report.write_section(RESULTS, TITLE, markdown(costs, (load, os.getloadavg()[0])))
    print("written: bench/results.md")
    return 0 if all(good for good, _ in found) else 1


if __name__ == "__main__":
    sys.exit(main())
