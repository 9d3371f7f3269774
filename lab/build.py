"""The build cache that all labs share, outside the tree.

An entry is built in a folder `<name>.partial`, which is renamed once it is complete, so an
incomplete build is never used. Its name contains a hash of all its inputs, so it is never built
twice and never out of date.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from lab.errors import LabError
from lab.lock import locked

Say = Callable[[str], None]

#: What usually stops a step that needs nothing from outside, and what to do then.
FULL_DISK = "A full disk is the usual cause. Then run `invoke lab.supply` again."

#: Seconds between two lines that say how a step goes.
PROGRESS_INTERVAL = 10.0


def cache_root() -> Path:
    """The folder of all that labs share, on the user's disk."""
    return user_cache_path("hale") / "lab"


def cache_key(inputs: Mapping[str, object]) -> str:
    """The suffix of an entry's name: a hash of all its inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Cache:
    """A folder of finished entries, held for building."""

    folder: Path
    say: Say
    lock: int

    def entry(self, name: str, inputs: Mapping[str, object], make: Callable[[Path], Path]) -> Path:
        """The folder of the entry, built by `make` if it is not there.

        `make` is given an empty folder to work in, and returns the finished one, which is that
        folder or one inside it.
        """
        target = self.folder / f"{name}-{cache_key(inputs)}"
        if not target.is_dir():
            partial = self.folder / f"{target.name}.partial"
            partial.mkdir()
            try:
                make(partial).rename(target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return target

    def run(
        self,
        argv: Sequence[str],
        folder: Path,
        title: str,
        hint: str,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Run a build step in `folder`, saying every 10 s how it goes.

        It has mount and process namespaces of its own: all of it ends with it, or with us.
        setpriv and unshare let it die with us also when we are killed; the lock is held until
        then. `variables` come on top of this process's environment, with its proxies and whatever
        else is needed to get out of this machine.

        Raises LabError with the end of the step's words and `hint`, its usual causes.
        """
        log = self.folder / f"{folder.name.removesuffix('.partial')}.log"
        environment = {
            **os.environ,
            "DEBIAN_FRONTEND": "noninteractive",
            "LC_ALL": "C.UTF-8",
            **(variables or {}),
        }
        alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork",
                 "--kill-child=KILL", "--mount-proc"]  # fmt: skip
        self.say(title)
        begun = time.monotonic()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*alone, *argv],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                pass_fds=(self.lock,),
            )
            try:
                while True:
                    try:
                        status = process.wait(timeout=PROGRESS_INTERVAL)
                        break
                    except subprocess.TimeoutExpired:
                        self.say(f"  … {time.monotonic() - begun:.0f} s {_last_line(log)}".rstrip())
            except BaseException:
                process.kill()
                process.wait()
                raise
        if status:
            raise LabError(
                f"{title} failed after {time.monotonic() - begun:.0f} s: {_last_line(log)}\n"
                f"The complete log is {log}. {hint}"
            )
        log.unlink()


@contextmanager
def open_cache(folder: Path, say: Say) -> Iterator[Cache]:
    """Lock a cache folder for building, and remove what killed builds left there."""
    with locked(folder / "lock", say) as lock:
        for stale in folder.glob("*.partial"):
            shutil.rmtree(stale)
        yield Cache(folder, say, lock)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
