"""A sampling loop on a host, run over one ssh session, and its record while that grows.

The loop is a background child of the session's shell, so it ends with the session, however that
ends. Its record is a file in FOLDER that only root can read; the next drill or a reboot removes
what a crash leaves of it.

Times in records are hundredths of a second since the host booted (proc(5), /proc/uptime), which
a change of the host's date does not affect. `HostClock` converts them to ours.
"""

import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from hale.shell import load_script
from hale.ssh import RemoteError, Session, Target
from hale.ssh.remote import PRELUDE

FOLDER = "/run/hale-drill"
TIMEOUT = 20.0

#: Shell that a loop begins with.
BEGIN = PRELUDE + load_script(Path(__file__).with_name("begin.sh"))
_FUNCTIONS = load_script(Path(__file__).with_name("sampler.sh"))


class SamplerStopped(Exception):
    """The loop has ended, so nothing is measured; the message says where and why."""


@dataclass
class HostClock:
    """The offset between a host's seconds since boot and time.monotonic() here.

    The reading with the shortest round trip counts: its error is at most half of that.
    """

    offset: float = 0.0
    uncertainty: float = float("inf")

    def read(self, sent: float, received: float, uptime: float) -> None:
        """Add a reading: when it was requested and received (time.monotonic()), and the uptime."""
        if received - sent < self.uncertainty:
            self.uncertainty = received - sent
            self.offset = uptime - (sent + received) / 2


class RemoteSampler:
    """One loop on one host. record: all complete lines that it has written so far."""

    def __init__(self, target: Target, name: str, script: str) -> None:
        self.host = target.name
        self.clock = HostClock()
        self.record = b""
        self.name, self._script = name, script
        self._path = f"{FOLDER}/{name}"
        self._session = Session(target)
        self._pid, self._start_time = 0, ""  # of the loop, on its host

    def start(self) -> None:
        """Start the loop. Raises SamplerStopped if the host cannot run it."""
        script = shlex.quote(self._script)
        loop = self._run(
            f"umask 077; mkdir -p {FOLDER} && : >{self._path} && "
            f"{{ /bin/sh -c {script} >>{self._path} 2>{self._path}.err </dev/null & }} && "
            'echo "$! $(start_time $!)"'
        )
        pid, _, start_time = loop.decode().strip().partition(" ")
        self._pid, self._start_time = int(pid), start_time

    def read(self) -> bytes:
        """The complete lines since the last read. Raises SamplerStopped if the loop has ended."""
        sent = time.monotonic()
        output = self._run(
            f"cat /proc/uptime; {self._is_loop} && echo alive || echo dead; "
            f"tail -c +{len(self.record) + 1} {self._path}"
        )
        received = time.monotonic()
        uptime, alive, news = output.split(b"\n", 2)
        self.clock.read(sent, received, float(uptime.split()[0]))
        news = news[: news.rfind(b"\n") + 1]
        self.record += news
        if alive != b"alive":
            error = self._run(f"tail -n 3 {self._path}.err").decode(errors="backslashreplace")
            raise SamplerStopped(
                f"{self.host}: {self.name} ended: {error.strip() or 'no error message'}"
            )
        return news

    def stop(self) -> None:
        """End the loop and remove its files; does nothing on a host that does not answer."""
        try:
            if self._pid:
                self._run(
                    f"! {self._is_loop} || kill -9 {self._pid} 2>/dev/null; "
                    f"rm -f {self._path} {self._path}.err"
                )
        except SamplerStopped:
            pass
        self._session.close()

    @property
    def _is_loop(self) -> str:
        """Shell that succeeds while the loop runs."""
        return f"is_loop {self._pid} {shlex.quote(self._start_time)}"

    def _run(self, script: str) -> bytes:
        try:
            result = self._session.run(f"/bin/sh -c {shlex.quote(_FUNCTIONS + script)}", TIMEOUT)
        except RemoteError as error:
            raise SamplerStopped(f"{self.name} stopped: {error}") from None
        if result.exit_status and not result.stdout:
            stderr = result.stderr.decode(errors="backslashreplace").strip()
            reason = stderr or f"exit status {result.exit_status}"
            raise SamplerStopped(f"{self.host}: {self.name}: {reason}")
        return result.stdout
