"""30 texts that run a command wherever they become part of a script, and whether one did.

A script is run by an ordinary user in an empty folder, where every payload would leave a file. It
has the system's programs, but none that reaches a network.
"""

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.hostile import leftovers

MARK = "hale-was-here"
PAYLOADS = (
    f"$(touch {MARK})",
    f"`touch {MARK}`",
    f"x;touch {MARK}",
    f"x' ; touch {MARK}; '",
    f'x" ; touch {MARK}; "',
    f"root$(touch${{IFS}}{MARK})",
    f"x|touch {MARK}",
    f"x||touch {MARK}",
    f"x&touch {MARK}&",
    f"x&&touch {MARK}",
    f"x>{MARK}",
    f"<(touch {MARK})",
    f"x}};touch {MARK};{{",
    f"x);touch {MARK};(",
    f"x\\';touch {MARK};\\'",
    f"'\"'\"';touch {MARK};'\"'\"'",
    f"$'\\n'touch {MARK}",
    f"x #'\ntouch {MARK}\n",
    f"-oProxyCommand=touch {MARK}",
    f"--\ntouch {MARK}",
    f"!touch {MARK}",
    f"~;touch {MARK}",
    f"*;touch {MARK}",
    f"${{x:-$(touch {MARK})}}",
    f"$((a[$(touch {MARK})]))",
    f"x;touch$IFS$1{MARK}",
    f"%h;touch {MARK}",
    f"{{{{7*7}}}}$(touch {MARK})",
    f"%(touch {MARK})s`touch {MARK}`",
    f"x\rtouch {MARK}",
)
NO_PROGRAMS = ("curl", "ping", "socat", "getent", "kubectl", "ssh", "sleep", "sudo")
USER = 65534  # nobody


class Sandbox:
    """Where scripts with payloads run, and what they left there."""

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="hale-payload-")
        self.folder = Path(self._folder.name)
        (self.folder / "bin").mkdir()
        for name in NO_PROGRAMS:
            (self.folder / "bin" / name).write_text("#!/bin/sh\nexit 0\n")
            (self.folder / "bin" / name).chmod(0o755)
        self.work = self.folder / "work"
        self.work.mkdir()
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(self.work, USER, USER)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def run(self, script: str, *arguments: str, shell: str = "sh", stdin: bytes = b"") -> None:
        """Whatever becomes of it; it has a minute. Scripts that set PATH do so behind ours."""
        path = f"{self.folder}/bin:/usr/bin:/bin"
        mark = {leftovers.MARK: os.environ.get(leftovers.MARK, "")}
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [shell, "-c", script.replace("PATH=/usr/", f"PATH={self.folder}/bin:/usr/")],
                cwd=self.work,
                env={"PATH": path, "HOME": str(self.work)} | mark,
                input=stdin,
                capture_output=True,
                check=False,
                timeout=60,
                user=USER if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
            )

    def holds(self) -> bool:
        """Whether no payload ran."""
        return MARK not in {path.name for path in self.work.iterdir()}
