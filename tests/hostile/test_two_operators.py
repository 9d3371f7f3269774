"""Two operators type at the same time in one checkout, with one reports folder.

Each has an inventory. Each command ends as if it ran alone, and what it writes is its own; where
both change one file, both changes are in it. tests/apply/test_typed.py has two fixes of one host.
`make soak` takes all pairs, other runs those that the day draws (HALE_SEED).
"""

import contextlib
import itertools
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hale.audit import accepted, results_file, waivers
from hale.cli.waivers import WaiveOptions, waive
from hale.files import exclusive
from hale.inventory import ini
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.report import monitoring
from hale.standard import loader
from tests.engine.pytest_cli import DATA, environment

INVOKE, PYTEST = (str(Path(sys.executable).with_name(name)) for name in ("invoke", "pytest"))
STANDARD = loader.load_standard(ROOT / "standard")
SEED = os.environ.get("HALE_SEED") or os.environ["HALE_DAY"]
PATIENCE = 400  # seconds, on a machine with other work too
WAIVED = "net.ipv4.ip_forward is 0"


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed on standard output and on both."""

    status: int
    out: str
    output: str


@dataclass(frozen=True)
class Site:
    """An operator's inventory, its evidence, and an audit of it in the shared reports folder."""

    folder: Path
    reports: Path
    prefix: str

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.ini"

    @property
    def run(self) -> Path:
        """Its audit that was made before."""
        return self.reports / f"2026-01-01T000000Z-audit-{ord(self.prefix)}"

    @property
    def hosts(self) -> set[str]:
        return {h.name for h in ini.load_inventory(self.inventory).hosts} | {"cluster"}

    def words(self, command: str) -> list[str]:
        """The command line."""
        mine, reports = f"--inventory={self.inventory}", f"--reports={self.reports}"
        match command:
            case "audit" | "drift":
                more = ["--drift"] if command == "drift" else []
                evidence = f"--evidence={self.run / 'evidence.json'}"
                return [PYTEST, "-p", "no:cacheprovider", "-q", evidence, mine, reports, *more]
            case "judge":
                return [INVOKE, "judge", self.run.name, mine, reports]
            case "report":
                return [INVOKE, "report", self.run.name, "--format=csv", reports]
            case "diff":
                return [INVOKE, "report", "diff", self.run.name, self.run.name, reports]
            case "accept":
                return [INVOKE, "accept", self.run.name, mine, reports]
            case "check":
                return [INVOKE, "check", "--run=newest", "--max-age=1000000", mine, reports]
            case "runs":
                return [INVOKE, "runs", reports]
        day = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
        given = (
            f"hosts={self.prefix}8s-master-02 aspect=runtime owner=o approver=p ticket=T reason=r"
        )
        options = [f"--{word}" for word in f"{given} compensation=c expires={day}".split()]
        return [INVOKE, "waive", "SYS-IP-FORWARD", *options, f"--accepts={WAIVED}", mine, reports]

    def fresh(self) -> None:
        """No waiver, and nothing accepted but the audit that was made before."""
        self.inventory.with_name(waivers.NAME).unlink(missing_ok=True)
        shutil.copy(self.folder / "accepted.before", accepted.path_of(self.inventory))


COMMANDS = ("audit", "drift", "judge", "report", "diff", "accept", "check", "runs", "waive")
PAIRS = list(itertools.combinations_with_replacement(COMMANDS, 2))
DRAWN = random.Random(SEED).sample(PAIRS, 2)


def typed(*commands: Sequence[str]) -> list[Ended]:
    """Type them at the same time, and wait for all."""
    begun = [
        subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]
    found = []
    for process in begun:
        out, errors = process.communicate(timeout=PATIENCE)
        found.append(Ended(process.returncode, out, out + errors))
    return found


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, Site]:
    """Two inventories with hosts of other names, each audited and accepted once."""
    folder = tmp_path_factory.mktemp("sites")
    reports = folder / "reports"
    made = (Site(folder / "a", reports, "k"), Site(folder / "b", reports, "q"))
    for site in made:
        site.folder.mkdir()
        site.run.mkdir(parents=True)
        for name, place in (("inventory.ini", site.folder), ("evidence.json", site.run)):
            text = (DATA / name).read_text().replace('"extended"', '"baseline"')
            (place / name).write_text(re.sub(r"k8s-(master|node)", rf"{site.prefix}8s-\1", text))
    typed(*(site.words("judge") for site in made))
    for judged in sorted(reports.glob("*/results.json")):
        found = results_file.load_results(judged)
        mine = next(s for s in made if found.run.inventory == str(s.inventory))
        shutil.move(judged, mine.run)
        shutil.rmtree(judged.parent)
    for ended in typed(*(site.words("accept") for site in made)):
        assert ended.status == 0, ended.output
    for site in made:
        accepted.path_of(site.inventory).rename(site.folder / "accepted.before")
    return made


def check_audit(site: Site, ended: Ended, new: Sequence[Path]) -> None:
    """One new folder is this inventory's, with the verdicts of the audit that was made before."""
    loaded = {folder: results_file.load_results(folder / "results.json") for folder in new}
    mine = [f for f, found in loaded.items() if found.run.inventory == str(site.inventory)]
    assert len(mine) == 1
    assert ended.status == 1, ended.output
    found, before = loaded[mine[0]], results_file.load_results(site.run / "results.json")
    rows, wanted = ({(r.host, r.requirement, r.aspect): r.verdict for r in each.results}
                    for each in (found, before))  # fmt: skip
    assert rows == wanted
    assert found.run.state == "finished"
    assert (mine[0] / "report.html").exists()


def check_ended(site: Site, command: str, ended: Ended, new: Sequence[Path]) -> None:
    """The command ended as it does alone, and what it wrote is of this inventory."""
    assert "Traceback" not in ended.output
    match command:
        case "audit" | "drift" | "judge":
            check_audit(site, ended, new)
        case "report":
            assert ended.status == 0, ended.output
            hosts = {line.split(",")[0] for line in ended.out.splitlines()[1:]}
            assert site.hosts >= hosts >= {f"{site.prefix}8s-node-01"}
        case "accept":
            assert ended.status == 0, ended.output
            assert {row.host for row in accepted.load_accepted(site.inventory).rows} <= site.hosts
        case "waive":
            assert ended.status == 0, ended.output
            assert waived(site) == [f"{site.prefix}8s-master-02"]
        case "check":
            found = results_file.load_results(site.run / "results.json")
            assert ended.out == f"{monitoring.line(found)}\n"
        case _:
            assert ended.status == 0, ended.output


def waived(site: Site) -> list[str]:
    """The hosts of the waivers beside the inventory, in order."""
    path = site.inventory.with_name(waivers.NAME)
    known = ini.load_inventory(site.inventory)
    found = waivers.parse_waivers(path, waivers.read_file(path), known, STANDARD)
    return [one.hosts for one in found.waivers]


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(pair, marks=() if pair in DRAWN else pytest.mark.soak, id="-".join(pair))
        for pair in PAIRS
    ],
)
def test_each_ends_as_if_it_ran_alone(sites: tuple[Site, Site], pair: tuple[str, str]) -> None:
    for site in sites:
        site.fresh()
    before = set(sites[0].reports.iterdir())
    ended = typed(*(site.words(command) for site, command in zip(sites, pair, strict=True)))
    new = sorted(set(sites[0].reports.iterdir()) - before)
    audits = sum(command in ("audit", "drift", "judge") for command in pair)
    assert len(new) == audits, "each run has a folder of its own, and no other is written"
    for site, command, one in zip(sites, pair, ended, strict=True):
        check_ended(site, command, one, new)
    for folder in new:
        shutil.rmtree(folder)


# --- one inventory ---


def of_waive(site: Site, host: str) -> WaiveOptions:
    day = f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%d}"
    return WaiveOptions(
        "SYS-IP-FORWARD", site.inventory, host, "runtime", "o", "p", "r", "c", "T", day, WAIVED
    )


def test_two_waivers_at_once_are_both_written(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits, once it has read the file, until the other has read it too, or cannot."""
    site = sites[0]
    site.fresh()
    both = threading.Barrier(2)
    parse = waivers.parse_waivers

    def slowly(*given: Any) -> waivers.Waivers:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return parse(*given)

    monkeypatch.setattr(waivers, "parse_waivers", slowly)
    hosts = [f"{site.prefix}8s-master-02", f"{site.prefix}8s-master-03"]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(waive, of_waive(site, host)) for host in hosts]:
            done.result()
    assert sorted(waived(site)) == hosts


def test_a_waiver_while_another_command_holds_the_file(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "PATIENCE", 0.2)
    site = sites[0]
    site.fresh()
    path = site.inventory.with_name(waivers.NAME)
    with exclusive.changing(path), pytest.raises(UserError, match="another command is changing"):
        waive(of_waive(site, f"{site.prefix}8s-master-02"))
    assert not path.exists()
