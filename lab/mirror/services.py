"""The lab's web server and image registry: processes in the operator's network namespace.

Each has a control group of the lab's, by which it is found, counted and ended; `lab.down` ends it
with everything else. It goes on when the command that started it has ended.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hale.polling import wait_until
from lab import cgroups, daemonize, network
from lab.errors import LabError
from lab.subprocesses import ENVIRONMENT
from lab.topology import OPERATOR_ADDRESS

#: Seconds until a service must listen; the usual is below 1.
START = 120.0

_LISTEN = "0A"


@dataclass(frozen=True)
class MirrorService:
    """A service by its name and the port it has at the operator's address."""

    name: str
    port: int

    @property
    def url(self) -> str:
        """Where hosts find it."""
        return f"http://{OPERATOR_ADDRESS}:{self.port}"

    def answers(self, lab: str) -> bool:
        """Whether one of its processes listens at its port."""
        return any(self._listens(pid) for pid in cgroups.processes(lab, self._group))

    def serve(self, lab: str, argv: Sequence[str], log: Path, keep: Sequence[int]) -> bool:
        """Make it run as `argv`; a server with other arguments is replaced.

        Returns whether it had to be started. Raises LabError with the end of its log if it does
        not listen in time.
        """
        if self.answers(lab) and self._runs_as(lab, argv):
            return False
        self.stop(lab)
        groups = [group / cgroups.POWER for group in cgroups.create(lab, self._group)]
        inside = network.inside(network.operator(lab), argv)
        daemonize.start(groups, f"exec {shlex.join(inside)}", log, ENVIRONMENT, keep)
        if wait_until(
            lambda: not self.answers(lab),
            START,
            0.02,
            lambda: not cgroups.processes(lab, self._group),
        ):
            words = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise LabError(f"the lab's {self.name} does not listen at {self.url}:\n{words}")
        return True

    def stop(self, lab: str) -> None:
        """End it; fine if it does not run."""
        cgroups.kill(lab, self._group)
        cgroups.remove(lab, self._group)

    @property
    def _group(self) -> str:
        return f"supply.{self.name}"

    def _runs_as(self, lab: str, argv: Sequence[str]) -> bool:
        for pid in cgroups.processes(lab, self._group):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if line == b"".join(word.encode() + b"\0" for word in argv):
                return True
        return False

    def _listens(self, pid: int) -> bool:
        try:
            table = Path(f"/proc/{pid}/net/tcp").read_text()
        except OSError:
            return False
        sockets = [line.split() for line in table.splitlines()[1:]]
        return any(s[1].endswith(f":{self.port:04X}") and s[3] == _LISTEN for s in sockets)


PACKAGES = MirrorService("packages", 8080)
IMAGES = MirrorService("images", 5000)
ALL = (PACKAGES, IMAGES)
RPMS = MirrorService("rpms", 8081)  # only where hosts have dnf: lab/mirror/dnf_host.py


def serve_files(
    service: MirrorService, lab: str, folder: Path, state: Path, keep: Sequence[int]
) -> bool:
    """Serve a folder over HTTP; returns whether the server had to be started."""
    argv = [sys.executable, "-I", "-m", "http.server", "--protocol", "HTTP/1.1", "--bind",
            str(OPERATOR_ADDRESS), "--directory", str(folder), str(service.port)]  # fmt: skip
    return service.serve(lab, argv, state / f"{service.name}.log", keep)


def serve_images(lab: str, program: Path, folder: Path, state: Path, keep: Sequence[int]) -> bool:
    """Serve a registry's folder, which it never writes to; returns whether it had to be started.

    `program` is docker-registry (distribution/distribution, docs/configuration).
    """
    # JSON is YAML. The name has the folder's, so that another folder is another command.
    settings = state / f"{folder.name}.json"
    settings.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {
                    "filesystem": {"rootdirectory": str(folder)},
                    "maintenance": {"readonly": {"enabled": True}},
                },
                "http": {"addr": f"{OPERATOR_ADDRESS}:{IMAGES.port}"},
            }
        )
    )
    return IMAGES.serve(lab, [str(program), "serve", str(settings)], state / "images.log", keep)
