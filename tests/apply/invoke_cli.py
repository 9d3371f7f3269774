"""Who types `invoke …`, with a folder of reports of their own."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hale.paths import ROOT
from tests.apply.compliant_lab import Ready

INVOKE = str(Path(sys.executable).parent / "invoke")
# Seconds that a command may take, on a machine with other work too.
PATIENCE = 600


@dataclass
class Operator:
    """Types at one machine; `inventory` is that of the compliant hosts where none is given."""

    ready: Ready
    reports: Path

    def start(self, *words: str, inventory: Path | None = None) -> "subprocess.Popen[str]":
        """Begin `invoke …`; `fix` gets the inventory."""
        more = [f"--reports={self.reports}"]
        if words[0] == "fix" and not any(w.startswith("--plan") for w in words):
            more.append(f"--inventory={inventory or self.ready.inventory}")
        return subprocess.Popen(
            [INVOKE, *words, *more],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, *words: str, inventory: Path | None = None) -> tuple[int, str]:
        """Type it and wait: exit status, and all that was said."""
        process = self.start(*words, inventory=inventory)
        output, _ = process.communicate(timeout=PATIENCE)
        return process.returncode, output

    def type_until(self, expected: str, *words: str) -> tuple[int, str]:
        """Type it until this is printed: sshd sees the end of a connection late."""
        end = time.monotonic() + 180
        while True:
            status, output = self.type(*words)
            if expected in output or time.monotonic() > end:
                return status, output

    @property
    def last(self) -> Path:
        """The folder of the newest run."""
        found = [p.parent for p in self.reports.glob("*/journal.jsonl")]
        assert found, "no run has begun"
        return max(found, key=os.path.getmtime)
