"""The reports: a table in the terminal, and bench/results.md."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rich.table import Table

from bench.contenders import RunResult
from bench.ratios import Ratio, Series, ratio
from hale.files import provenance

TITLE = "Time to audit"
WIDTH = 10  # of the longest bar, in characters
PACKAGES = ("pytest", "pytest-testinfra", "pytest-xdist", "pytest-html", "paramiko")


@dataclass(frozen=True)
class AuditTimings:
    """All runs of a benchmark, by contender and round."""

    titles: Mapping[str, str]
    done: Mapping[str, Sequence[Sequence[RunResult]]]
    tests: int
    hosts: int
    repeat: int
    load: tuple[float, float]  # the machine's load average before and after
    ended: float  # seconds since the epoch

    def series(self, key: str) -> Series:
        return Series(tuple(tuple(done.seconds for done in runs) for runs in self.done[key]))

    def parts(self, key: str) -> dict[str, Series]:
        """The parts of a contender's runs."""
        return {
            name: Series(tuple(tuple(d.parts[name] for d in runs) for runs in self.done[key]))
            for name in self.done[key][0][0].parts
        }


@dataclass(frozen=True)
class Verdict:
    """A target, and whether it was reached."""

    wanted: str
    got: Ratio
    reached: bool

    def __str__(self) -> str:
        result = "reached" if self.reached else "MISSED"
        return f"{result}: {self.wanted}: {_ratio(self.got)}"


def verdicts(measured: AuditTimings) -> list[Verdict]:
    """The two targets."""
    audit = measured.series("audit")
    stock = ratio(measured.series("stock"), audit)
    return [
        floor_verdict(audit, measured.series("floor")),
        Verdict("stock ssh:// takes at least 40 x an audit", stock, stock.value >= 40),
    ]


def floor_verdict(audit: Series, floor: Series) -> Verdict:
    """The target of an audit against the floor."""
    found = ratio(audit, floor)
    return Verdict("an audit takes at most 1.3 x the floor", found, found.value <= 1.3)


def table(measured: AuditTimings) -> Table:
    """The contenders with bars of one scale."""
    found = Table(box=None, pad_edge=False)
    found.add_column("", no_wrap=True)
    for heading in ("median", "min – max", "x Hale"):
        found.add_column(heading, justify="right", no_wrap=True)
    found.add_column("", no_wrap=True)
    longest = max(measured.series(key).median for key in measured.titles)
    for key, title in measured.titles.items():
        series = measured.series(key)
        bar = _bar(series.median / longest * WIDTH)
        median, extremes, _, times = _cells(measured, key)
        style = "bold" if key == "audit" else ""
        found.add_row(title, median, extremes, times, bar, style=style)
    return found


def markdown(measured: AuditTimings) -> str:
    """The section of bench/results.md. It names no host and no path of the machine."""
    lines = [
        f"# {TITLE}",
        "",
        f"Written by `make bench` on {utc_text(measured.ended)}. Audit of {measured.hosts} hosts "
        f"of the lab, chapters 4 to 9, every requirement {measured.repeat} times: "
        f"{measured.tests} tests in each contender but the full audit. Every round ran the "
        "contenders in turn, each from a cold start, the short ones three times, those of stock "
        "testinfra after the first round only; all judged the same tests, with the same verdicts.",
        "",
        *(f"- {v}" for v in verdicts(measured)),
        "",
        "| | median | min – max | runs | x Hale |",
        "|---|---:|---:|---:|---:|",
    ]
    for key, title in measured.titles.items():
        lines.append(f"| {title} | " + " | ".join(_cells(measured, key)) + " |")
    lines.append("")
    for name, series in measured.parts("floor").items():
        lines.append(f"- part of the floor, {name}: {_seconds(series)}")
    against = ratio(measured.series("audit"), measured.series("reports"))
    plain = ratio(measured.series("plain"), measured.series("floor"))
    lean = ratio(measured.series("audit"), measured.series("lean"))
    lines += [
        f"- without the fast start, an audit takes {_ratio(plain)} the floor",
        f"- relative to the floor with junit and html, an audit takes {_ratio(against)}",
        "- relative to the floor without Hypothesis and what else pytest.ini switches off, "
        f"an audit takes {_ratio(lean)}",
        "",
        "A ratio is the median over pairs of runs next to each other in time, with minimum and "
        "maximum: the machine is shared, and a ratio of medians could compare a quiet minute "
        "with a busy one. "
        "Hale writes results.json, evidence.json, junit.xml and report.html in every run, the "
        "floor writes nothing, stock testinfra its junit.xml. The full audit is the profile "
        "`baseline` with all chapters once; it spends most of its time waiting for a VIP that no "
        "host answers.",
        "",
        *machine_table(measured.load, PACKAGES),
        "",
    ]
    return "\n".join(lines)


def write_section(path: Path, title: str, text: str) -> None:
    """Replace a page's section of that title, or append it. The text begins with its title."""
    page = path.read_text() if path.exists() else ""
    sections = re.split(r"^(?=# )", page, flags=re.M)
    mine = [n for n, section in enumerate(sections) if section.startswith(f"# {title}\n")]
    if mine:
        sections[mine[0]] = text if mine[0] == len(sections) - 1 else f"{text}\n"
    else:
        sections[-1:] = [f"{sections[-1].rstrip()}\n\n{text}" if page else text]
    path.write_text("".join(sections))


def utc_text(seconds: float) -> str:
    """A time in UTC, to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _cells(measured: AuditTimings, key: str) -> tuple[str, str, str, str]:
    series = measured.series(key)
    times = ratio(series, measured.series("audit")).value
    return (
        f"{series.median:.2f} s",
        f"{series.low:.2f} – {series.high:.2f}",
        str(len(series.seconds)),
        f"{times:.2f}",
    )


def _seconds(series: Series) -> str:
    return f"{series.median:.2f} s ({series.low:.2f} – {series.high:.2f})"


def _ratio(found: Ratio) -> str:
    return f"{found.value:.2f} x ({found.low:.2f} – {found.high:.2f})"


def _bar(length: float) -> str:
    full, rest = divmod(round(length * 8), 8)
    return "█" * full + (chr(0x2590 - rest) if rest else "")


def machine_table(
    load: tuple[float, float], packages: Sequence[str], environment: Path = Path(sys.prefix)
) -> list[str]:
    """Machine and versions as the lines of a table; packages as in `environment`."""
    rows = (f"| {name} | {value} |" for name, value in _machine(load, packages, environment))
    return ["| machine | |", "|---|---|", *rows]


def _machine(
    load: tuple[float, float], packages: Sequence[str], environment: Path
) -> list[tuple[str, str]]:
    cpu = _field("/proc/cpuinfo", "model name")
    kib = int(_field("/proc/meminfo", "MemTotal").split()[0])
    versions = {
        d.name: d.version
        for d in metadata.distributions(
            path=[str(p) for p in environment.glob("lib/*/site-packages")]
        )
    }
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True).stderr.strip()
    return [
        ("processor", f"{cpu}, {len(os.sched_getaffinity(0))} cores"),
        ("memory", f"{kib / 1024 / 1024:.1f} GiB"),
        ("kernel", platform.release()),
        ("load average", f"{load[0]:.1f} before, {load[1]:.1f} after"),
        ("revision", str(provenance.GitRevision())),
        ("Python", platform.python_version()),
        *((name, versions[name]) for name in packages),
        ("ssh", ssh),
    ]


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0"
