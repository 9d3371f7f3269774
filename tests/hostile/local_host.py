"""This machine as a host: Hale's own scripts run here as root, with folders of the test's."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hale.ssh.target import CommandResult, Target

HOME = "/var/lib/hale"
USER = 65534  # an ordinary user: nobody


@dataclass
class LocalSession:
    """A session whose host is this machine, with Hale's folder elsewhere.

    tools: a folder whose programs hide the system's.
    """

    home: Path
    tools: Path | None = None
    target: Target = field(default_factory=lambda: Target("here"))

    def run(
        self,
        command: str,
        timeout: float = 60,
        stdin: bytes = b"",
        on_output: object = None,
        simple: bool = False,
    ) -> CommandResult:
        """As Session.run."""
        here = str(self.home)
        if self.tools:
            command = _with_tools(command, self.tools)
            stdin = _with_tools(stdin.decode(), self.tools).encode()
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace(HOME, here)],
            input=stdin.replace(HOME.encode(), here.encode()),
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        stdout, stderr = (
            b.replace(here.encode(), HOME.encode()) for b in (done.stdout, done.stderr)
        )
        return CommandResult(done.returncode, stdout, stderr, 0.0)


def _with_tools(script: str, tools: Path) -> str:
    return script.replace("PATH=/usr/sbin", f"PATH={tools}:/usr/sbin")


@dataclass
class LocalHost:
    """Folders: etc (root's), ops (the attacker's), root (with the file `victim`, mode 0600)."""

    top: Path

    def __post_init__(self) -> None:
        self.etc, self.ops, self.root = (self.top / n for n in ("etc", "ops", "root"))
        for folder in (self.etc, self.ops, self.root):
            folder.mkdir(mode=0o755)
        os.chown(self.ops, USER, USER)
        self.victim = self.root / "victim"
        self.victim.write_text("root's\n")
        self.victim.chmod(0o600)
        self.session: Any = LocalSession(self.top / "hale")

    def shell(self, script: str) -> None:
        """Run as root, with $etc, $ops, $root and $victim."""
        names = {n: str(getattr(self, n)) for n in ("etc", "ops", "root", "victim")}
        subprocess.run(["/bin/sh", "-euc", script], env=os.environ | names, check=True)

    def untouched(self) -> bool:
        """Whether what is root's alone is as before."""
        found = self.victim.stat()
        return (
            self.victim.read_text() == "root's\n"
            and (found.st_uid, found.st_mode & 0o7777, found.st_nlink) == (0, 0o600, 1)
            and [p.name for p in self.root.iterdir()] == ["victim"]
        )

    @contextmanager
    def attacker(self, script: str) -> Iterator[None]:
        """Python that runs as the ordinary user, in its folder, in the meantime."""
        if not script:
            yield
            return
        # Root starts it: an ordinary user may not be able to reach this Python.
        code = f"import os\nos.setgroups([])\nos.setgid({USER})\nos.setuid({USER})\n"
        code += f"victim, root = {str(self.victim)!r}, {str(self.root)!r}\n{script}"
        running = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            cwd=self.ops,
            stdout=subprocess.PIPE,
        )
        assert running.stdout
        try:
            assert running.stdout.readline() == b"begun\n"
            time.sleep(0.05)
            yield
            assert running.poll() is None, "the attacker must not have ended"
        finally:
            running.kill()
            running.wait()
            running.stdout.close()


@contextmanager
def local_host() -> Iterator[LocalHost]:
    """A host; other users can reach its folders, so it is not in pytest's own."""
    top = Path(tempfile.mkdtemp(prefix="hale-hostile-"))
    top.chmod(0o755)
    try:
        yield LocalHost(top)
    finally:
        shutil.rmtree(top)
