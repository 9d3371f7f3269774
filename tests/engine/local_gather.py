"""Asking this machine, as gather asks a host: the real script, through a shell of our choice."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hale import gather
from hale.gather import RawResponse
from hale.gather.request import ProbeRequest, encode_for_login_shell
from hale.inventory.ini import Host
from hale.model.errors import Location
from hale.model.evidence import CommandProbe, Evidence, HostView

HOST = Host("here", None, frozenset({"all"}), {}, Location("test"))


@dataclass
class Shell:
    """A transport to this machine.

    `tools` is a folder whose programs hide the system's, `user` whom to be, and `spoil` what
    becomes of the answer on its way.
    """

    shell: Sequence[str] = ("sh", "-c")
    tools: Path | None = None
    user: int | None = None
    spoil: Callable[[bytes], bytes] = bytes
    environment: Mapping[str, str] = field(default_factory=dict)
    name: str = "local"

    def run_script(self, command: str, timeout: float) -> RawResponse:
        path = f"{self.tools}:/usr/bin:/bin" if self.tools else "/usr/bin:/bin"
        done = subprocess.run(
            [*self.shell, command],
            capture_output=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            env={"PATH": path, **self.environment},
            user=self.user,
            extra_groups=[] if self.user else None,
            check=False,
        )
        return RawResponse(self.spoil(done.stdout), done.stderr)


class LoginShell(Shell):
    """The same through any login shell, as testinfra's backends have it."""

    def run_script(self, command: str, timeout: float) -> RawResponse:
        return super().run_script(encode_for_login_shell(command), timeout)


def question(*patterns: str | Path, commands: Sequence[CommandProbe] = ()) -> ProbeRequest:
    named = tuple((f"test.{c.name}", c) for c in commands)
    return ProbeRequest(HOST, named, tuple(map(str, patterns)))


def ask(
    *patterns: str | Path, shell: Shell | None = None, commands: Sequence[CommandProbe] = ()
) -> Evidence:
    return gather.gather_host(question(*patterns, commands=commands), shell or Shell(), 60)


def readings(
    *patterns: str | Path, shell: Shell | None = None, commands: Sequence[CommandProbe] = ()
) -> HostView:
    return HostView(ask(*patterns, shell=shell, commands=commands), "test")


def tool(folder: Path, name: str, script: str) -> None:
    """A program of that name in front of the system's; `$REAL` is the system's."""
    real = next(p for p in (f"/usr/bin/{name}", f"/bin/{name}") if os.access(p, os.X_OK))
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
    path.chmod(0o755)
