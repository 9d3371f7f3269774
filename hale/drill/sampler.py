"""A loop that runs on a host beside us, over one ssh session, and its record while it grows.

The loop is a background child of the session's shell: it ends with the session, however that
ends. Its record is a file in FOLDER, which only root can read; what is left of it after a crash
goes with the next drill or reboot.

Times in records are hundredths of a second since the host booted (proc(5), /proc/uptime): no
change of the host's date can bend them. `Clock` brings them to ours.
"""

import shlex
import time
from dataclasses import dataclass

from hale.ssh import CommandTimeout, HostUnreachable, OutputTooLarge, Session, Target

FOLDER = "/run/hale-drill"
TIMEOUT = 20.0

#: Shell: `now` sets $now to the hundredths of a second since the host booted, without a fork.
NOW = """\
now() { read -r up _ </proc/uptime; now=${up#*.}; now=$((${up%.*} * 100 + 1$now - 100)); }
"""


class SamplerStopped(Exception):
    """The loop does not run any more, so nothing is measured; says where and why."""


@dataclass
class HostClock:
    """What to take from a host's seconds since boot to get those of time.monotonic() here.

    Of all readings the one counts that came back fastest: it is wrong by half of that at most.
    """

    offset: float = 0.0
    within: float = float("inf")

    def read(self, sent: float, came: float, uptime: float) -> None:
        """Take a reading: when it was asked for, when it came (time.monotonic()), what it said."""
        if came - sent < self.within:
            self.within = came - sent
            self.offset = uptime - (sent + came) / 2


class RemoteSampler:
    """One loop on one host. `record` is all that it has written so far, in whole lines."""

    def __init__(self, target: Target, name: str, script: str) -> None:
        self.host = target.name
        self.clock = HostClock()
        self.record = b""
        self.name, self._script = name, script
        self._path = f"{FOLDER}/{name}"
        self._session = Session(target)
        self._pid = 0

    def start(self) -> None:
        """Begin it. Raises LoopEnded where the host does not take it."""
        script = shlex.quote(self._script)
        done = self._run(
            f"umask 077; mkdir -p {FOLDER} && : >{self._path} && "
            f"{{ /bin/sh -c {script} >>{self._path} 2>{self._path}.err </dev/null & }} && echo $!"
        )
        self._pid = int(done)

    def read(self) -> bytes:
        """The whole lines that are new. Raises LoopEnded where the loop ended by itself."""
        sent = time.monotonic()
        said = self._run(
            f"cat /proc/uptime; kill -0 {self._pid} 2>/dev/null && echo alive || echo dead; "
            f"tail -c +{len(self.record) + 1} {self._path}"
        )
        came = time.monotonic()
        uptime, alive, news = said.split(b"\n", 2)
        self.clock.read(sent, came, float(uptime.split()[0]))
        news = news[: news.rfind(b"\n") + 1]
        self.record += news
        if alive != b"alive":
            why = self._run(f"tail -n 3 {self._path}.err").decode(errors="backslashreplace")
            raise SamplerStopped(
                f"{self.host}: {self.name} ended: {why.strip() or 'without a word'}"
            )
        return news

    def stop(self) -> None:
        """End it, and take its files away; a host that does not answer is left alone."""
        try:
            if self._pid:
                self._run(f"kill -9 {self._pid} 2>/dev/null; rm -f {self._path} {self._path}.err")
        except SamplerStopped:
            pass
        self._session.close()

    def _run(self, script: str) -> bytes:
        try:
            done = self._session.run(f"/bin/sh -c {shlex.quote(script)}", TIMEOUT)
        except (HostUnreachable, CommandTimeout, OutputTooLarge) as error:
            raise SamplerStopped(f"{self.name} cannot go on: {error}") from None
        if done.exit_status and not done.stdout:
            said = done.stderr.decode(errors="backslashreplace").strip()
            raise SamplerStopped(f"{self.host}: {self.name}: {said or done.exit_status}")
        return done.stdout
