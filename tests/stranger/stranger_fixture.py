"""The cluster that Hale did not build, its snapshots, and commands on it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lab import stranger
from lab.machine import Lab
from tests.cluster.cluster_fixture import ROOT, Built
from tests.stranger import snapshot

# Rows of the gate that a host without an ordinary user cannot have, and those of root's limits.
LIMITS = [f"LIM-{of}{item}" for of in ("", "ROOT-") for item in ("NOFILE", "NPROC", "MEMLOCK")]
WITHOUT_LIMITS = ("--ignore-preflight-errors", ",".join(LIMITS))


class Stranger(Built):
    """The lab with that cluster; `spoiled` where a test took it off."""

    def __init__(self, lab: Lab, reports: Path) -> None:
        super().__init__(lab, reports)
        self.spoiled = False

    def restore(self) -> None:
        """Build it, on fresh disks, if a test has taken it off; else wait until all of it runs."""
        if not self.spoiled:
            stranger.settle(self.lab)
            return
        if any((h.root / "etc/kubernetes").exists() for h in self.lab.hosts) or any(
            (h.root / "etc/haproxy").exists() for h in self.lab.hosts
        ):
            with ThreadPoolExecutor(len(self.lab.hosts)) as pool:
                list(pool.map(lambda host: host.reset(), self.lab.hosts))
        stranger.build(self.lab, lambda line: print(line, flush=True))
        self.spoiled = False

    def audit(self) -> "subprocess.CompletedProcess[str]":
        """`pytest --hosts=all`, as an operator runs it."""
        argv = [sys.executable, "-m", "pytest", "--inventory", str(self.inventory), "--hosts=all",
                f"--reports={self.reports}", "--connect-timeout=60"]  # fmt: skip
        return subprocess.run(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    @contextmanager
    def unchanged(self, but: Sequence[str] = (), *, moves: bool = False) -> Iterator[None]:
        """Nothing changes inside, but for what begins with one of `but` (`where: what`).

        moves: whether pods may be made again, so that the second look waits until all run.
        """
        before = snapshot.take(self.lab)
        yield
        if moves:
            stranger.settle(self.lab)
        self.require_unchanged(before, snapshot.take(self.lab), but)

    def require_unchanged(
        self, before: snapshot.Snapshot, after: snapshot.Snapshot, but: Sequence[str]
    ) -> None:
        """Nothing differs but what begins with one of `but`. Raises AssertionError."""
        found = [
            change
            for change in snapshot.changes(before, after)
            if not f"{change.where}: {change.what}".startswith(tuple(but))
        ]
        if found:
            self.spoiled = True  # the next test gets one that is as it was
        assert not found, snapshot.shown(found)

    def audited(self) -> Path:
        """The newest audit's folder."""
        return max(self.reports.glob("*-audit"), key=lambda p: p.stat().st_mtime)
