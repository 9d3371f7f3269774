"""`python -m bench fix`: how fast hosts are mended, against ansible-core and pyinfra.

Five hosts with every fault that stands beside others (bench/ruined.py). Each contender says what
it would change, changes it, and looks again: Hale by `invoke fix --apply`, the others by their own
dry run, run, and dry run. Before each run the hosts are made anew and ruined anew; after each, an
audit by Hale, which is not timed, must find every row green, or the benchmark ends.
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

from bench import page
from bench.contenders import CHAPTERS, Arena, Done
from bench.measured import Disagreement, Series, ratio
from bench.page import Verdict
from bench.ruined import TOGETHER, ruin
from hale.inventory import ini
from hale.paths import ROOT
from hale.standard import loader
from hale.standard.loader import parameters_of
from tests.faults.table import FAULTS

TITLE = "How fast hosts are mended"
PACKAGES = ("ansible-core", "pyinfra")
RIVALS = ROOT / ".venv" / "rivals"
BIN = RIVALS / "bin"
STEPS = ("dry run", "run", "dry run again")


@dataclass(frozen=True)
class Contender:
    """`key` for the program, `title` for people; `run` does one run in a new, empty folder."""

    key: str
    title: str
    run: Callable[[Path], Done]


class Mending:
    """The contenders, on the lab of an arena."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        turned = {row.requirement for f in FAULTS if f.name in TOGETHER for row in f.rows}
        stated = loader.load_standard(ROOT / "standard").requirements
        self.wanted = [r for r in stated if r.id in turned and r.chapter in CHAPTERS]

    def ruin(self) -> None:
        """Hosts made anew, with all the faults."""
        written = self.arena.folder / "ruined.ini"
        ruin(self.arena.lab, written)
        text = written.read_text()
        own = text.replace(str(self.arena.lab.ssh_config), str(self.arena.ssh_config))
        self.arena.inventory.write_text(own)

    def verify(self, folder: Path) -> None:
        """Raise Disagreement where a row that a fault turned is not green."""
        ids = {r.id for r in self.wanted}
        found = self.arena.judged(folder, "-m", f"({self.arena.marks})")
        red = [f"{' '.join(test)}: {v}" for test, v in found if test[1] in ids and v != "PASS"]
        if red or not any(test[1] in ids for test, _ in found):
            raise Disagreement("\n  ".join(["the end state is not the one that is wanted:", *red]))

    def values(self) -> dict[str, Any]:
        """What the standard asks for, as variables for the others; nothing of it is theirs."""
        known = ini.load_inventory(self.arena.inventory)
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

    def hale(self, folder: Path) -> Done:
        """Audit, plan, apply with fsync and journal, audit."""
        words = [
            str(Path(sys.executable).with_name("invoke")), "fix", "--apply", "--yes",
            f"--only={','.join(r.id for r in self.wanted)}",
            f"--inventory={self.arena.inventory}", f"--reports={folder}/reports",
        ]  # fmt: skip
        return Done(self.arena.timed(folder, words), 0)

    def ansible(self, folder: Path) -> Done:
        """The playbook of bench/playbook."""
        given = folder / "values.json"
        given.write_text(json.dumps(self.values()))
        words = [
            str(BIN / "ansible-playbook"), f"--inventory={self.arena.inventory}",
            f"--extra-vars=@{given}", str(ROOT / "bench" / "playbook" / "site.yml"),
        ]  # fmt: skip
        dry = [*words, "--check", "--diff"]
        more = {
            "ANSIBLE_CONFIG": str(ROOT / "bench" / "playbook" / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "ansible"),
        }
        return self._three(folder, (dry, words, dry), more)

    def pyinfra(self, folder: Path) -> Done:
        """The deploy of bench/deploy."""
        lab = self.arena.lab
        values = self.values() | {
            "ssh_config": str(self.arena.ssh_config),
            "known_hosts": str(lab.known_hosts),
            "key": str(lab.state / "id_ed25519"),
            "hosts": {host.name: host.address for host in lab.hosts},
        }
        tree = ROOT / "bench" / "deploy"
        words = [str(BIN / "pyinfra"), str(tree / "inventory.py"), str(tree / "deploy.py")]
        more = {"BENCH_VALUES": json.dumps(values)}
        return self._three(folder, ([*words, "--dry"], [*words, "-y"], [*words, "--dry"]), more)

    def _three(self, folder: Path, steps: Sequence[list[str]], more: dict[str, str]) -> Done:
        parts = {
            name: self.arena.timed(folder, words, more=more)
            for name, words in zip(STEPS, steps, strict=True)
        }
        return Done(sum(parts.values()), 0, parts=parts)


@dataclass(frozen=True)
class Mended:
    """All runs, by contender and round."""

    done: dict[str, list[Done]]
    titles: dict[str, str]
    load: tuple[float, float]
    ended: float

    def series(self, key: str, part: str = "") -> Series:
        return Series(tuple(((d.parts[part] if part else d.seconds),) for d in self.done[key]))


def measure(arena: Arena, rounds: int, load: Callable[[], float], console: Console) -> Mended:
    """Every contender once a round, each on hosts that were ruined a moment before."""
    mending = Mending(arena)
    contenders = [
        Contender("hale", "Hale: invoke fix --apply", mending.hale),
        Contender("pyinfra", "pyinfra: dry run, run, dry run", mending.pyinfra),
        Contender("ansible", "ansible-core: check, run, check", mending.ansible),
    ]
    done: dict[str, list[Done]] = {c.key: [] for c in contenders}
    before = load()
    for number in range(1, rounds + 1):
        for contender in contenders:
            mending.ruin()
            one = arena.in_folder(contender.run)
            arena.in_folder(mending.verify)
            done[contender.key].append(one)
            parts = ", ".join(f"{name} {took:.1f}" for name, took in one.parts.items())
            console.print(
                f"  round {number}  {one.seconds:8.2f} s  {contender.title}"
                + (f" ({parts})" if parts else "")
            )
    return Mended(done, {c.key: c.title for c in contenders}, (before, load()), time.time())


def verdicts(mended: Mended) -> list[Verdict]:
    """The two targets."""
    hale = mended.series("hale")
    ansible = ratio(mended.series("ansible"), hale)
    pyinfra = ratio(mended.series("pyinfra"), hale)
    return [
        Verdict("ansible-core takes at least 10 x as long", ansible, ansible.value >= 10),
        Verdict("pyinfra takes at least 3 x as long", pyinfra, pyinfra.value >= 3),
    ]


def table(mended: Mended) -> Table:
    """The contenders, with what their runs consist of."""
    found = Table(box=None, pad_edge=False)
    found.add_column("", no_wrap=True)
    for heading in ("median", "min – max", "x Hale"):
        found.add_column(heading, justify="right", no_wrap=True)
    for row in _rows(mended):
        found.add_row(*row)
    return found


def _rows(mended: Mended) -> list[tuple[str, str, str, str]]:
    hale = mended.series("hale")
    rows = []
    for key, title in mended.titles.items():
        for part in ("", *mended.done[key][0].parts):
            series = mended.series(key, part)
            rows.append(
                (
                    f"… of it, the {part}" if part else title,
                    f"{series.median:.2f} s",
                    f"{series.low:.2f} – {series.high:.2f}",
                    f"{ratio(series, hale).value:.2f}",
                )
            )
    return rows


def markdown(mended: Mended) -> str:
    """The section of bench/results.md."""
    rounds = len(mended.done["hale"])
    lines = [
        f"# {TITLE}",
        "",
        f"Written by `make bench` on {page.when(mended.ended)}. Five hosts of the lab, each with "
        f"up to {len(TOGETHER)} faults of the fault table at once; {rounds} rounds, in each all "
        "contenders one after the other, each from cold and on hosts that were made and ruined "
        "anew. Everybody says first what would change, changes it, and looks again; after each "
        "run an audit by Hale found the same rows green for all. Hale keeps every original on "
        "the host, writes each file whole with fsync(2), and its journal beside it.",
        "",
        *(f"- {v}" for v in verdicts(mended)),
        "",
        "| | median | min – max | x Hale |",
        "|---|---:|---:|---:|",
        *(f"| {' | '.join(row)} |" for row in _rows(mended)),
        "",
        "The playbook is bench/playbook: ansible-core's own modules, one task for all lines of a "
        "file, handlers, pipelining, ControlPersist, no facts gathered, 10 forks. The deploy is "
        "bench/deploy: pyinfra's own operations and facts. A ratio is the median over the rounds, "
        "with the least and the greatest.",
        "",
        *page.machine(mended.load, PACKAGES, RIVALS),
        "",
    ]
    return "\n".join(lines)
