"""`python -m bench fix`: the time to remediate hosts, against ansible-core and pyinfra.

Five hosts with all faults that can be combined (bench/broken_hosts.py). Each contender shows what
it would change, changes it, and checks again: Hale by `invoke fix --apply`, the others by a dry
run, a run, and a second dry run. Before each run the hosts get fresh disks and all faults; after
each, an audit by Hale, which is not timed, must pass, or the benchmark ends.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import report
from bench.broken_hosts import COMBINED, inject_faults
from bench.contenders import CHAPTERS, BenchLab, RunResult
from bench.ratios import Disagreement, Series, ratio
from bench.report import Verdict
from hale.inventory import ini
from hale.paths import ROOT
from hale.standard import loader
from hale.standard.loader import parameters_of
from lab.faults.table import FAULTS

TITLE = "Time to remediate"
PACKAGES = ("ansible-core", "pyinfra")
RIVALS = ROOT / ".venv" / "rivals"
BIN = RIVALS / "bin"
STEPS = ("dry run", "run", "dry run again")


@dataclass(frozen=True)
class Contender:
    """`key` for the program, `title` for people; `run` does one run in a new, empty folder."""

    key: str
    title: str
    run: Callable[[Path], RunResult]


class FixBench:
    """The contenders, on the hosts of a lab."""

    def __init__(self, arena: BenchLab) -> None:
        self.bench_lab = arena
        turned = {row.requirement for f in FAULTS if f.name in COMBINED for row in f.rows}
        stated = loader.load_standard(ROOT / "standard").requirements
        self.wanted = [r for r in stated if r.id in turned and r.chapter in CHAPTERS]

    def inject_faults(self) -> None:
        """Give the hosts fresh disks and inject all faults."""
        written = self.bench_lab.folder / "ruined.ini"
        inject_faults(self.bench_lab.lab, written)
        text = written.read_text()
        own = text.replace(str(self.bench_lab.lab.ssh_config), str(self.bench_lab.ssh_config))
        self.bench_lab.inventory.write_text(own)

    def verify(self, folder: Path) -> None:
        """Raise Disagreement unless every requirement that a fault breaks passes."""
        ids = {r.id for r in self.wanted}
        found = self.bench_lab.judged(folder, "-m", f"({self.bench_lab.marks})")
        failed = [f"{' '.join(test)}: {v}" for test, v in found if test[1] in ids and v != "PASS"]
        if failed or not any(test[1] in ids for test, _ in found):
            raise Disagreement("\n  ".join(["the hosts are not compliant:", *failed]))

    def values(self) -> dict[str, Any]:
        """The expected values of the standard, as variables for the other contenders."""
        known = ini.load_inventory(self.bench_lab.inventory)
        by_subject: dict[str, list[Any]] = {}
        for requirement in self.wanted:
            given, _ = parameters_of(requirement, known, known.hosts[0])
            by_subject.setdefault(requirement.subject, []).append(given)
        (module,), sysctls = by_subject["br_netfilter"], by_subject["sysctl"]
        return {
            "vip": known.endpoint.vip,
            "vip_names": " ".join(known.endpoint.names),
            "selinux": by_subject["selinux"][0].modes[0],
            "sysctl_file": sysctls[0].file,
            "sysctls": {s.key: s.value for s in sysctls},
            "module": module.module,
            "module_file": module.file,
            "limits": {limit.item: limit.least for limit in by_subject["limits"]},
        }

    # --- contenders ---

    def hale(self, folder: Path) -> RunResult:
        """Audit, plan, apply with fsync and journal, audit."""
        words = [
            str(Path(sys.executable).with_name("invoke")), "fix", "--apply", "--yes",
            f"--only={','.join(r.id for r in self.wanted)}",
            f"--inventory={self.bench_lab.inventory}", f"--reports={folder}/reports",
        ]  # fmt: skip
        return RunResult(self.bench_lab.timed(folder, words), 0)

    def ansible(self, folder: Path) -> RunResult:
        """The playbook of bench/playbook."""
        given = folder / "values.json"
        given.write_text(json.dumps(self.values()))
        words = [
            str(BIN / "ansible-playbook"), f"--inventory={self.bench_lab.inventory}",
            f"--extra-vars=@{given}", str(ROOT / "bench" / "playbook" / "site.yml"),
        ]  # fmt: skip
        dry = [*words, "--check", "--diff"]
        more = {
            "ANSIBLE_CONFIG": str(ROOT / "bench" / "playbook" / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "ansible"),
        }
        return self._three(folder, (dry, words, dry), more)

    def pyinfra(self, folder: Path) -> RunResult:
        """The deploy of bench/deploy."""
        lab = self.bench_lab.lab
        values = self.values() | {
            "ssh_config": str(self.bench_lab.ssh_config),
            "known_hosts": str(lab.known_hosts),
            "key": str(lab.state / "id_ed25519"),
            "hosts": {host.name: host.address for host in lab.hosts},
        }
        tree = ROOT / "bench" / "deploy"
        words = [str(BIN / "pyinfra"), str(tree / "inventory.py"), str(tree / "deploy.py")]
        more = {"BENCH_VALUES": json.dumps(values)}
        return self._three(folder, ([*words, "--dry"], [*words, "-y"], [*words, "--dry"]), more)

    def _three(self, folder: Path, steps: Sequence[list[str]], more: dict[str, str]) -> RunResult:
        parts = {
            name: self.bench_lab.timed(folder, words, more=more)
            for name, words in zip(STEPS, steps, strict=True)
        }
        return RunResult(sum(parts.values()), 0, parts=parts)


@dataclass(frozen=True)
class FixTimings:
    """All runs, by contender and round."""

    done: dict[str, list[RunResult]]
    titles: dict[str, str]
    load: tuple[float, float]
    ended: float

    def series(self, key: str, part: str = "") -> Series:
        return Series(tuple(((d.parts[part] if part else d.seconds),) for d in self.done[key]))


def measure(
    arena: BenchLab, rounds: int, load: Callable[[], float], console: Console
) -> FixTimings:
    """Run every contender once a round, each on freshly broken hosts."""
    bench = FixBench(arena)
    contenders = [
        Contender("hale", "Hale: invoke fix --apply", bench.hale),
        Contender("pyinfra", "pyinfra: dry run, run, dry run", bench.pyinfra),
        Contender("ansible", "ansible-core: check, run, check", bench.ansible),
    ]
    done: dict[str, list[RunResult]] = {c.key: [] for c in contenders}
    before = load()
    for number in range(1, rounds + 1):
        for contender in contenders:
            bench.inject_faults()
            one = arena.in_folder(contender.run)
            arena.in_folder(bench.verify)
            done[contender.key].append(one)
            parts = ", ".join(f"{name} {took:.1f}" for name, took in one.parts.items())
            console.print(
                f"  round {number}  {one.seconds:8.2f} s  {contender.title}"
                + (f" ({parts})" if parts else "")
            )
    return FixTimings(done, {c.key: c.title for c in contenders}, (before, load()), time.time())


def verdicts(timings: FixTimings) -> list[Verdict]:
    """The two targets."""
    hale = timings.series("hale")
    ansible = ratio(timings.series("ansible"), hale)
    pyinfra = ratio(timings.series("pyinfra"), hale)
    return [
        Verdict("ansible-core takes at least 22 x as long", ansible, ansible.value >= 22),
        Verdict("pyinfra takes at least 4 x as long", pyinfra, pyinfra.value >= 4),
    ]


def table(timings: FixTimings) -> Table:
    """The contenders, with the parts of their runs."""
    found = Table(box=None, pad_edge=False)
    found.add_column("", no_wrap=True)
    for heading in ("median", "min – max", "x Hale"):
        found.add_column(heading, justify="right", no_wrap=True)
    for row in _rows(timings):
        found.add_row(*row)
    return found


def _rows(timings: FixTimings) -> list[tuple[str, str, str, str]]:
    hale = timings.series("hale")
    rows = []
    for key, title in timings.titles.items():
        for part in ("", *timings.done[key][0].parts):
            series = timings.series(key, part)
            rows.append(
                (
                    f"… of which the {part}" if part else title,
                    f"{series.median:.2f} s",
                    f"{series.low:.2f} – {series.high:.2f}",
                    f"{ratio(series, hale).value:.2f}",
                )
            )
    return rows


def markdown(timings: FixTimings) -> str:
    """The section of bench/results.md."""
    rounds = len(timings.done["hale"])
    lines = [
        f"# {TITLE}",
        "",
        f"Written by `make bench` on {report.utc_text(timings.ended)}. Five hosts of the lab, "
        f"each with up to {len(COMBINED)} faults of the fault table at once. Each of {rounds} "
        "rounds ran every contender once, in turn, from a cold start, on hosts with fresh disks "
        "and all faults. Each contender showed what it would change, changed it, and checked "
        "again; after each run an audit by Hale passed the same requirements. Hale backs up "
        "every file on the host, replaces files atomically with fsync(2), and keeps a journal.",
        "",
        *(f"- {v}" for v in verdicts(timings)),
        "",
        "| | median | min – max | x Hale |",
        "|---|---:|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in _rows(timings)),
        "",
        "The playbook is bench/playbook: ansible-core's own modules, one task for all lines of a "
        "file, handlers, pipelining, ControlPersist, no fact gathering, 10 forks. The deploy is "
        "bench/deploy: pyinfra's own operations and facts. A ratio is the median over the rounds, "
        "with minimum and maximum.",
        "",
        *report.machine_table(timings.load, PACKAGES, RIVALS),
        "",
    ]
    return "\n".join(lines)
