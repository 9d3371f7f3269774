"""Typing `pytest …` as an operator does, and reading what came of it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hale.audit import results_file
from hale.model.results import Results, RowKey

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
PYTEST = Path(sys.executable).with_name("pytest")
# Recorded on the lab: 01 forwards, now and after a boot; 02 and 03 do not; node-01 only now;
# node-02 was off. Of sysctl, masters, hostname, clock and etcd.
EVIDENCE = (f"--evidence={DATA / 'evidence.json'}", f"--inventory={DATA / 'inventory.ini'}")
SYSCTL = "checks/test_sysctl.py"
HOSTS = ["k8s-master-01", "k8s-master-02", "k8s-master-03", "k8s-node-01", "k8s-node-02"]


@dataclass(frozen=True)
class Done:
    """How it ended, what it printed, and the folder it reported to, if any."""

    code: int
    output: str
    reports: Path

    @property
    def folder(self) -> Path | None:
        """The run's own folder."""
        found = list(self.reports.iterdir()) if self.reports.exists() else []
        assert len(found) < 2
        return found[0] if found else None

    @property
    def results(self) -> Results:
        assert self.folder
        return results_file.load_results(self.folder / "results.json")

    @property
    def verdicts(self) -> dict[RowKey, str]:
        """Each row's verdict."""
        return {
            RowKey(r.host, r.requirement, r.aspect): str(r.verdict) for r in self.results.results
        }

    def of(self, host: str) -> dict[str, str]:
        """One host's verdicts by `REQUIREMENT aspect`."""
        return {
            f"{row.requirement} {row.aspect}": v
            for row, v in self.verdicts.items()
            if row.host == host
        }


def command(reports: Path, *words: str) -> list[str]:
    return [str(PYTEST), "-p", "no:cacheprovider", f"--reports={reports}", *words]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    return kept | {"COLUMNS": "200"} | dict(more or {})


def typed(
    reports: Path,
    *words: str,
    cwd: Path = ROOT,
    more: Mapping[str, str] | None = None,
    timeout: float = 120,
    plain: Sequence[str] = (),
) -> Done:
    """Run `pytest --reports=… words`, or exactly the words of `plain`."""
    done = subprocess.run(
        [str(PYTEST), *plain] if plain else command(reports, *words),
        cwd=cwd,
        env=environment(more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Done(done.returncode, done.stdout, reports)


def copy_of_the_tree(folder: Path) -> dict[str, str]:
    """A tree to be spoilt, at `folder`; returns the environment that makes pytest use it.

    What is compiled comes along: it counts for files of the same time and size, so not for what is
    spoilt, and a run takes 1.0 s of CPU in place of 1.7.
    """
    for name in ("hale", "facts", "checks", "standard"):
        shutil.copytree(ROOT / name, folder / name, ignore=_unfinished)
    for name in ("conftest.py", "pytest.ini", "pyproject.toml", "inventory.ini"):
        shutil.copy(ROOT / name, folder / name)
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _unfinished(folder: str, names: list[str]) -> list[str]:
    """What another process compiles at this moment: a file whose name is gone in the next one."""
    compiled = Path(folder).name == "__pycache__"
    return [name for name in names if compiled and not name.endswith(".pyc")]
