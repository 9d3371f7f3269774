"""The contenders: each starts cold, is timed, and returns its verdicts.

All run in the operator's namespace of one lab, over the same ssh_config, with the same Python and
the plugins that are installed for Hale's development; an audit switches some off (pytest.ini), of
which Hypothesis takes 0.15 s and more, so there is a floor without them too. Bytecode is cached
for all of them, in a folder of the benchmark's own.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

from bench.ratios import Test, Verdicts, merge_verdicts
from bench.repeat_plugin import COPY
from hale.paths import ROOT
from hale.standard import loader
from lab.machine import Lab

CHAPTERS = range(4, 10)
MIN_TESTS = 200
# Seconds after which a run counts as hung.
TIMEOUT = 600.0

_NOISE = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTEST_ADDOPTS", "PYTEST_PLUGINS")
_STOCK_ID = re.compile(r"test_(\w+)_([a-z]+)\[\d+-\w+://(.+)\]")
_SUMMARY = re.compile(r"^=+ (?:.* )?(\d+) passed in ", re.M)


T = TypeVar("T")


class RunFailed(Exception):
    """A contender failed, so its time is invalid."""


@dataclass(frozen=True)
class RunResult:
    """One run. parts: seconds by name of a part; verdicts: None if nothing is judged."""

    seconds: float
    tests: int
    verdicts: Verdicts | None = None
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """`key` for the program, `title` for people; `run` does one run in a new, empty folder."""

    key: str
    title: str
    run: Callable[[Path], RunResult]


class BenchLab:
    """The lab's hosts, and the files by which every contender reaches them."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.hosts = [host.name for host in lab.hosts]
        self.repeat = 1
        self.tests = 0
        # The lab's ssh_config enters the namespace for each connection; contenders are in it.
        text = lab.ssh_config.read_text()
        self._config = re.sub(r"^ *Proxy.*\n", "", text, flags=re.M)
        self.ssh_config = folder / "ssh_config"
        self.ssh_config.write_text(self._config)
        self.inventory = folder / "inventory.ini"
        hosts = lab.inventory.read_text().replace(str(lab.ssh_config), str(self.ssh_config))
        # Stock testinfra checks the baseline's own limits, so every contender does.
        self.inventory.write_text(re.sub(r"^hale_(?:lim|svc)_.*\n", "", hosts, flags=re.M))
        stated = loader.load_standard(ROOT / "standard").requirements
        chapters = sorted({r.chapter for r in stated} & set(CHAPTERS))
        self.marks = " or ".join(f"chapter{chapter}" for chapter in chapters)

    # --- ours ---

    def audit(self, folder: Path, *options: str) -> RunResult:
        """An audit as it is used, with all reports."""
        repeated = ("-p", "bench.repeat_plugin", f"--repeat={self.repeat}")
        done, verdicts, tests = self._audit(folder, *options, *repeated, "-m", f"({self.marks})")
        return RunResult(done, tests, merge_verdicts(verdicts, self.repeat))

    def audit_without_fast_start(self, folder: Path) -> RunResult:
        """The same, without the module of the pytest plugin that saves time at the start."""
        return self.audit(folder, "-p", "no:hale.pytest_plugin.fastpath")

    def full_audit(self, folder: Path) -> RunResult:
        """All requirements of the profile, including those of a VIP that no host answers."""
        seconds, _, tests = self._audit(folder)
        return RunResult(seconds, tests)

    def judged(self, folder: Path, *options: str) -> list[tuple[Test, str]]:
        """Every test's verdict, by an audit with these options."""
        return self._audit(folder, *options)[1]

    def _audit(self, folder: Path, *options: str) -> tuple[float, list[tuple[Test, str]], int]:
        seconds = self._pytest(
            folder,
            *options,
            f"--inventory={self.inventory}",
            "--hosts=all",
            f"--reports={folder}",
        )
        (results,) = folder.glob("*-audit/results.json")
        found = json.loads(results.read_bytes())
        reports = [results.parent / name for name in ("report.html", "junit.xml", "evidence.json")]
        if found["run"]["state"] != "finished" or not all(path.is_file() for path in reports):
            raise RunFailed(f"the audit did not finish, or lacks a report: {_output(folder)}")
        verdicts = [
            ((row["host"], row["requirement"].partition(COPY)[0], row["aspect"]), row["verdict"])
            for row in found["results"]
        ]
        return seconds, verdicts, len(_cases(results.parent / "junit.xml"))

    # --- the floor ---

    def floor(self, folder: Path) -> RunResult:
        """The unavoidable part: one login to each host, and pytest with as many empty tests."""
        return self._floor(folder)

    def floor_with_reports(self, folder: Path) -> RunResult:
        """The floor, with the html and junit reports of pytest's own plugins."""
        html = ("--html", f"{folder}/report.html", "--self-contained-html")
        return self._floor(folder, *html, f"--junitxml={folder}/junit.xml")

    def lean_floor(self, folder: Path) -> RunResult:
        """The floor without the plugins that pytest.ini switches off for an audit."""
        lines = (ROOT / "pytest.ini").read_text().splitlines()
        words = [word for line in lines if line.startswith(" ") for word in line.split()]
        off = [word for word in words if word.startswith("no:")]
        return self._floor(folder, *(option for word in off for option in ("-p", word)))

    def _floor(self, folder: Path, *options: str) -> RunResult:
        ssh = [shlex.join(["ssh", "-F", str(self.ssh_config), host, "true"]) for host in self.hosts]
        script = "p=; " + " ".join(f"{one} & p=$p\\ $!;" for one in ssh)
        login = self.timed(folder, ["sh", "-c", f"{script} for i in $p; do wait $i || exit; done"])
        pytest = self._pytest(folder, *options, tree="empty")
        passed = _SUMMARY.search(_output(folder))
        return RunResult(
            login + pytest,
            int(passed[1]) if passed else 0,
            parts={"five bare ssh at once": login, "pytest, empty tests": pytest},
        )

    # --- stock testinfra ---

    def stock(self, folder: Path) -> RunResult:
        """`ssh://` as installed."""
        return self._stock(folder, "ssh", self.ssh_config)

    def control_path(self, folder: Path) -> RunResult:
        """`ssh://`, and a ControlPath in ssh_config, so that a host's commands share a login."""
        config = folder / "ssh_config"
        config.write_text(f"{self._config}    ControlPath {folder}/%C\n")
        try:
            return self._stock(folder, "ssh", config)
        finally:
            # They would stay for a minute, so that the next run would not start cold.
            for host in self.hosts:
                leave = ["ssh", "-F", str(config), "-O", "exit", host]
                subprocess.run(self.lab.operator_argv(leave), stderr=subprocess.DEVNULL)

    def paramiko(self, folder: Path) -> RunResult:
        """`paramiko://`, which keeps one connection a host."""
        return self._stock(folder, "paramiko", self.ssh_config)

    def _stock(self, folder: Path, backend: str, config: Path) -> RunResult:
        hosts = ",".join(f"{backend}://{host}" for host in self.hosts)
        junit = folder / "junit.xml"
        seconds = self._pytest(
            folder,
            f"--hosts={hosts}",
            f"--ssh-config={config}",
            f"--junitxml={junit}",
            tree="stock",
        )
        cases = _cases(junit)
        return RunResult(
            seconds, len(cases), merge_verdicts(map(_stock_verdict, cases), self.repeat)
        )

    # --- running ---

    def in_folder(self, does: Callable[[Path], T]) -> T:
        """Call it with an empty folder, which is removed afterwards."""
        folder = self.folder / "run"
        folder.mkdir()
        try:
            return does(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _pytest(self, folder: Path, *options: str, tree: str = "") -> float:
        """Seconds that pytest took with the audit's tests, or with those of bench/TREE."""
        words = [sys.executable, "-m", "pytest", "-o", f"cache_dir={folder}/cache", *options]
        if tree:
            words += ["-c", f"{ROOT}/bench/{tree}/pytest.ini", f"{ROOT}/bench/{tree}"]
        return self.timed(folder, words, accepted=(0, 1))

    def timed(
        self,
        folder: Path,
        words: Sequence[str],
        accepted: Sequence[int] = (0,),
        more: Mapping[str, str] | None = None,
    ) -> float:
        """Seconds that a command took in the operator's namespace; `more` of its environment.

        Raises RunFailed for another exit status than those that are accepted.
        """
        environment = {k: v for k, v in os.environ.items() if k not in _NOISE}
        environment |= {
            "PYTHONPYCACHEPREFIX": str(self.folder / "compiled"),
            "BENCH_TESTS": str(self.tests),
            "BENCH_REPEAT": str(self.repeat),
            **(more or {}),
        }
        with (folder / "output").open("wb") as output:
            began = time.perf_counter()
            process = subprocess.Popen(
                self.lab.operator_argv(words),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(TIMEOUT)
                seconds = time.perf_counter() - began
            except subprocess.TimeoutExpired:
                raise RunFailed(f"no end after {TIMEOUT:.0f} s: {_output(folder)}") from None
            finally:
                _end(process)
        if status not in accepted:
            raise RunFailed(f"exit status {status}: {_output(folder)}")
        return seconds


def contenders(arena: BenchLab) -> list[Contender]:
    """All of them, in the order of a round."""
    return [
        Contender("audit", "Hale", arena.audit),
        Contender("floor", "the floor: ssh + empty tests", arena.floor),
        Contender("reports", "the floor with junit and html", arena.floor_with_reports),
        Contender("lean", "the floor with an audit's plugins", arena.lean_floor),
        Contender("plain", "Hale without the fast start", arena.audit_without_fast_start),
        Contender("full", "Hale, full audit, no VIP answers", arena.full_audit),
        Contender("control", "testinfra ssh:// + ControlPath", arena.control_path),
        Contender("paramiko", "testinfra paramiko://", arena.paramiko),
        Contender("stock", "testinfra ssh:// as installed", arena.stock),
    ]


def run(contender: Contender, arena: BenchLab) -> RunResult:
    """One run in a folder of its own, which is removed afterwards."""
    return arena.in_folder(contender.run)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process group of a run after Ctrl-C or a timeout."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _output(folder: Path) -> str:
    return (folder / "output").read_text(errors="replace")[-3000:]


def _cases(junit: Path) -> list[ElementTree.Element]:
    return list(ElementTree.parse(junit).iter("testcase"))


def _stock_verdict(case: ElementTree.Element) -> tuple[Test, str]:
    """Test and verdict, in the audit's words; the function is named after the requirement."""
    named = _STOCK_ID.fullmatch(case.get("name", ""))
    if not named:
        raise RunFailed(f"unexpected name of a test: {case.get('name')}")
    requirement, aspect, host = named.groups()
    verdicts = {"failure": "FAIL", "error": "UNKNOWN", "skipped": "N-A"}
    verdict = next((verdicts[child.tag] for child in case if child.tag in verdicts), "PASS")
    return (host, requirement.replace("_", "-").upper(), aspect), verdict
