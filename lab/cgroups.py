"""Control groups of the lab's hosts: made, joined, killed and removed in every hierarchy.

A host owns the group `hale-lab/<lab>/<host>` in each mounted hierarchy: the v1 controllers, v1's
named hierarchy of systemd and v2 alike (cgroups(7)). On a machine with v2 alone this is the one
group under /sys/fs/cgroup; systemd as PID 1 leaves groups alone that it did not make. The
machine's own groups are never written to, save that v2 controllers are switched on on the way.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from hale.polling import wait_until
from lab.errors import LabError, LabUnavailable
from lab.subprocesses import kill_process

TOP = "hale-lab"

#: Groups below the host's: one for the machine itself, which sees nothing above it, and one for
#: what keeps it powered.
MACHINE, POWER = "machine", "power"

#: All labs together count as so many processes when the machine's CPUs are busy. As one, a cluster
#: on the hosts loses its leaders to a test run beside it; as many more than this, the ssh clients
#: that talk to the hosts starve.
WEIGHT = 2

#: Seconds that the processes of a group may take to die of SIGKILL.
DEATH = 20.0


@dataclass(frozen=True)
class Hierarchy:
    """One mounted hierarchy of control groups: where, and whether it is version 2."""

    path: Path
    v2: bool


@cache
def hierarchies() -> tuple[Hierarchy, ...]:
    """Every hierarchy mounted from its root, in the order of /proc/self/mountinfo (proc(5)).

    Raises LabUnavailable if there is none.
    """
    found: dict[str, Hierarchy] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, tail = line.partition(" - ")
        kind = tail.split()[0]
        _, _, device, root, where, *_ = fields.split()
        if kind in ("cgroup", "cgroup2") and root == "/":
            found.setdefault(device, Hierarchy(Path(where), kind == "cgroup2"))
    if not found:
        raise LabUnavailable(
            "no control group hierarchy is mounted from its root; the lab needs /sys/fs/cgroup "
            "of the machine itself (it cannot run in a container that sees a part of it)"
        )
    return tuple(found.values())


def groups(lab: str, host: str | None = None) -> list[Path]:
    """The folders of the host's group (or of the lab's), one per hierarchy."""
    tail = Path(TOP, lab, host) if host else Path(TOP, lab)
    return [hierarchy.path / tail for hierarchy in hierarchies()]


def create(lab: str, host: str) -> list[Path]:
    """Make the host's group in every hierarchy, ready to be joined, and return the folders."""
    made = groups(lab, host)
    for hierarchy, group in zip(hierarchies(), made, strict=True):
        for folder in (group.parents[1], group.parent, group, group / MACHINE, group / POWER):
            folder.mkdir(exist_ok=True)
            if (hierarchy.path / "cpuset.cpus").exists():
                _inherit_cpuset(folder)
            if hierarchy.v2:
                _delegate(folder.parent)
        _weigh(group.parents[1])
    return made


def _weigh(top: Path) -> None:
    """Give the labs' common group its part of the CPUs, where this hierarchy deals them out."""
    for name, usual in (("cpu.shares", 1024), ("cpu.weight", 100)):
        if (top / name).exists():
            (top / name).write_text(str(WEIGHT * usual))


def _inherit_cpuset(folder: Path) -> None:
    """A new v1 cpuset is empty and cannot be joined until it has CPUs and memory (cpuset(7))."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text().strip():
            (folder / name).write_text((folder.parent / name).read_text())
    (folder / "cgroup.clone_children").write_text("1")


def _delegate(folder: Path) -> None:
    """Switch on every v2 controller for the children of `folder`, as far as the kernel lets us."""
    for controller in (folder / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def of_process(pid: int) -> list[Path]:
    """The groups a process is in, as folders of this machine, in every mounted hierarchy."""
    tails: dict[str, str] = {}
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, tail = line.split(":", 2)
        for controller in controllers.split(","):
            tails[controller.removeprefix("name=")] = tail
    found = []
    for hierarchy in hierarchies():
        key = "" if hierarchy.v2 else hierarchy.path.name.split(",")[0]
        if key in tails:
            found.append(hierarchy.path / tails[key].lstrip("/"))
    return found


def processes(lab: str, host: str | None = None) -> set[int]:
    """Process ids in the group and all groups below it, in any hierarchy."""
    pids: set[int] = set()
    for group in groups(lab, host):
        for folder, _, _ in os.walk(group):
            # A group may go while it is being read; what is gone holds no process.
            with contextlib.suppress(OSError):
                pids.update(map(int, (Path(folder) / "cgroup.procs").read_text().split()))
    pids.discard(0)  # a process of another pid namespace that we have no number for
    return pids


def kill(lab: str, host: str | None = None) -> None:
    """SIGKILL everything in the group but ourselves, again and again until nothing is left.

    Raises LabError if something does not die (a process stuck in the kernel).
    """
    if pids := wait_until(lambda: _kill(lab, host), DEATH, 0.01):
        raise LabError(
            f"processes {sorted(pids)} of lab {lab!r} did not die of SIGKILL in {DEATH:.0f} s; "
            "look at /proc/<pid>/stack, then run `invoke lab.down` again"
        )


def _kill(lab: str, host: str | None) -> set[int]:
    """SIGKILL what is in the group; returns what there was."""
    if pids := processes(lab, host) - {os.getpid()}:
        _thaw(lab, host)
    tail = "/".join(("", TOP, lab, *([host] if host else ())))
    for pid in pids:
        kill_process(pid, partial(_is_below, pid, tail))
    return pids


def _is_below(pid: int, tail: str) -> bool:
    """Whether the process is in this group or one below it, in any hierarchy (cgroups(7))."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(f"{line.split(':', 2)[2]}/".startswith(f"{tail}/") for line in lines)


def _thaw(lab: str, host: str | None) -> None:
    """Thaw frozen groups, so that they can be killed: cgroup v1 defers even SIGKILL."""
    for group in groups(lab, host):
        for folder, _, _ in os.walk(group):  # rglob() raises if a folder vanishes
            state = Path(folder) / "freezer.state"  # version 2 has none
            # A group may vanish at any time; one whose parent is frozen thaws with it.
            with contextlib.suppress(OSError):
                if state.read_text().strip() != "THAWED":
                    state.write_text("THAWED")


def remove(lab: str, host: str | None = None) -> None:
    """Remove the group with all below it, and the folder above all labs if it is empty then.

    Raises LabError if the kernel still counts something as inside.
    """
    for group in groups(lab, host):
        # The kernel lets go of the dead a moment later.
        if wait_until(partial(_remove, group), DEATH, 0.01):
            raise LabError(f"control group {group} cannot be removed: still in use")
    if host is None:
        for hierarchy in hierarchies():
            with contextlib.suppress(OSError):
                (hierarchy.path / TOP).rmdir()


def _remove(group: Path) -> bool:
    """Remove the group with all below it; returns whether it is still there."""
    for folder, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return group.is_dir()


def labs() -> set[str]:
    """Names of the labs that have a group."""
    found: set[str] = set()
    for hierarchy in hierarchies():
        with contextlib.suppress(FileNotFoundError):
            found.update(entry.name for entry in (hierarchy.path / TOP).iterdir() if entry.is_dir())
    return found
