"""The lab: the five hosts of the baseline, started, switched on and off, and removed.

    >>> with running_lab(f"test-{os.getpid()}") as lab:  # doctest: +SKIP
    ...     lab["k8s-node-01"].run("systemctl is-system-running").stdout
    b'running\\n'

Several labs can be up at a time, each in network namespaces of its own. Clean-up removes what
exists under the lab's name (processes in its control groups, mounts, namespaces) and does not
depend on a state file, so it is complete even after the lab was killed while starting.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab import cgroups, disk, image, limits, network, nspawn, prerequisites, ssh, time_server
from lab.errors import LabError, LabUnavailable
from lab.host import HostStatus, LabHost, wait_until_ready
from lab.lock import locked
from lab.prerequisites import unavailable
from lab.topology import (
    HOSTS,
    KNOWN_HOSTS,
    SECOND_HOSTS,
    SECOND_VIP,
    STATE_ROOT,
    VIP,
    VIP_PORT,
    checked_name,
)

__all__ = [
    "HostStatus",
    "Lab",
    "LabError",
    "LabHost",
    "LabUnavailable",
    "running_lab",
    "unavailable",
]

Say = Callable[[str], None]

#: Guards what all labs of the machine share: the unreachable routes.
_MACHINE_LOCK = Path("/run/hale-lab.lock")


def _silent(_: str) -> None:
    pass


class Lab:
    """A lab by its name, up or down. Creating the object changes nothing on the machine."""

    def __init__(
        self, name: str = "lab", say: Say = _silent, hosts: Sequence[str] | None = None
    ) -> None:
        """`say` is called with one line of text for each step. `hosts` selects some of the
        known hosts; the default is the baseline's, or those of the lab if it is up. A machine
        has room for about twenty hosts.

        Raises LabError if a name is invalid.
        """
        self.name = checked_name(name)
        self.state = STATE_ROOT / self.name
        self._say = say
        if hosts is None and self.is_up:
            hosts = list(self._read_state()["hosts"])
        if hosts is None:
            hosts = [plan.name for plan in HOSTS]
        if unknown := set(hosts) - {plan.name for plan in KNOWN_HOSTS}:
            raise LabError(f"a lab has no host {', '.join(sorted(unknown))}")
        self.hosts = tuple(LabHost(self, plan) for plan in KNOWN_HOSTS if plan.name in hosts)

    def __repr__(self) -> str:
        return f"<Lab {self.name!r}>"

    def __getitem__(self, host: str) -> LabHost:
        """The host of that name; raises LabError naming those there are."""
        for candidate in self.hosts:
            if candidate.name == host:
                return candidate
        raise LabError(f"no host {host!r} in the lab: {', '.join(h.name for h in self.hosts)}")

    @property
    def inventory(self) -> Path:
        """The lab's inventory, in Ansible's INI format."""
        return self.state / "inventory.ini"

    @property
    def second_inventory(self) -> Path:
        """The inventory of the second cluster's hosts; there is none without them."""
        return self.state / "second.ini"

    @property
    def second_hosts(self) -> tuple[LabHost, ...]:
        """The hosts of the second cluster, which the first one's inventory does not have."""
        return tuple(host for host in self.hosts if host.spec in SECOND_HOSTS)

    @property
    def ssh_config(self) -> Path:
        """The ssh_config that reaches the hosts, from anywhere on this machine, as root."""
        return self.state / "ssh_config"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys, read from their disks."""
        return self.state / "known_hosts"

    @property
    def base(self) -> Path:
        """The Debian that all hosts' disks lie on, without what any of them changed."""
        return self.images.base

    @property
    def is_up(self) -> bool:
        """Whether the lab was started completely since this machine booted."""
        try:
            return bool(self._read_state()["boot_id"] == _boot_id())
        except FileNotFoundError:
            return False

    @classmethod
    def existing(cls) -> list[str]:
        """Names of labs with any state, control group or namespace."""
        names = cgroups.labs() | network.labs()
        with contextlib.suppress(FileNotFoundError):
            names.update(path.name for path in STATE_ROOT.iterdir() if path.is_dir())
        return sorted(names)

    def up(self) -> None:
        """Start the lab; if it is up, only switch on the hosts that are off.

        Leftovers of a lab that was killed while starting, or that was up when the machine
        restarted, are removed first. If the start fails or is interrupted, it is undone.

        Raises LabUnavailable if this machine cannot run a lab, LabError if the start fails.
        """
        if reason := unavailable():
            raise LabUnavailable(reason)
        prerequisites.install_missing(self._say)
        images = image.build_base_images(self._say)
        with self.locked() as lock:
            if self.is_up:
                there = list(self._read_state()["hosts"])
                if there != [host.name for host in self.hosts]:
                    raise LabError(
                        f"lab {self.name} is up with {', '.join(there)}; take it down first"
                    )
                time_server.start(self.name, images, self.state, [lock])
                off = [host for host in self.hosts if not host.running]
                self._say(f"lab {self.name} is up" + (", hosts to switch on:" if off else ""))
                for host in off:
                    self._say(f"  {host.name}")
                    host.boot(lock)
                wait_until_ready(off)
                return
            if self.name in self.existing():
                self._say(f"removing leftovers of an earlier lab {self.name}")
            self._clear(lock)
            if reason := prerequisites.lacks_capacity(len(self.hosts)):
                raise LabUnavailable(reason)
            try:
                self._start(images, lock)
            except BaseException:
                self._say("the start failed; removing the lab")
                self._clear(lock)
                raise

    def down(self) -> None:
        """Remove the lab and everything it created, if there is anything. Idempotent.

        Raises LabError if something could not be removed.
        """
        if os.geteuid() != 0:
            raise LabUnavailable("taking a lab down needs root: run it as root or with sudo")
        with self.locked() as lock:
            self._clear(lock)

    def operator_argv(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` in the operator's network namespace."""
        return network.inside(network.operator(self.name), argv)

    def status(self) -> list[HostStatus]:
        """The status of every host."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            return list(pool.map(LabHost.status, self.hosts))

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Lock the lab; yields the file descriptor by which children hold the lock too."""
        lock = STATE_ROOT / f"{self.name}.lock"
        try:
            with locked(lock, self._say, keep=self.state.exists) as fd:
                yield fd
        finally:
            with contextlib.suppress(OSError):  # another lab's state is there
                STATE_ROOT.rmdir()

    def _start(self, images: image.BaseImages, lock: int) -> None:
        begun = time.monotonic()

        def step(title: str) -> None:
            self._say(f"{time.monotonic() - begun:5.2f} s  {title}")

        # The folder first: by it, other labs know that the routes are still needed.
        self.state.mkdir(parents=True, mode=0o755)
        with locked(_MACHINE_LOCK, self._say) as machine:
            network.block_lab_ranges([lock, machine])
        step("the lab's addresses are unreachable from this machine")
        network.create_operator(self.name, [lock])
        time_server.start(self.name, images, self.state, [lock])
        step("bridge, operator's namespace and time server")
        ssh.make_key(self.state, [lock])

        def switch_on(host: LabHost) -> LabHost:
            disk.make_identity(host.spec, host.folder, [lock])
            host.install_disk(images, lock)
            host.boot(lock)
            return host

        with ThreadPoolExecutor(len(self.hosts)) as pool:
            for host in pool.map(switch_on, self.hosts):
                step(f"{host.name} is booting")
        self._write("ssh_config")
        self.write_inventory()
        if self.second_hosts:
            self.write_second_inventory()
        _write(self.known_hosts, ssh.known_hosts((host.spec, host.root) for host in self.hosts))
        wait_until_ready(self.hosts)
        step("all hosts accept logins")
        state = {
            "boot_id": _boot_id(),
            "base": str(images.base),
            "chrony": str(images.chrony),
            "firewalld": str(images.firewalld),
            "hosts": {host.name: host.address for host in self.hosts},
        }
        _write(self.state / "state.json", json.dumps(state, indent=2) + "\n")

    def write_inventory(
        self, variables: Mapping[str, str] | None = None, vip_port: int = VIP_PORT
    ) -> None:
        """Write the lab's inventory; `variables` are those of the cluster, quoted as INI needs."""
        self._write(
            "inventory.ini",
            hosts=[host.spec for host in self.hosts if host not in self.second_hosts],
            variables=variables or {},
            limits=limits.limit_overrides(),
            vip=VIP,
            vip_port=vip_port,
            vip_names="master.k8s.io k8s-vip",
        )

    def write_second_inventory(self, variables: Mapping[str, str] | None = None) -> None:
        """Write the inventory of the second cluster's hosts, as `write_inventory` does."""
        # With one host it has no quorum to keep, and nothing else of the baseline is different.
        alone = {"hale_nodes_odd_masters__accepted": "'[1]'"} if len(self.second_hosts) == 1 else {}
        self._write(
            "inventory.ini",
            self.second_inventory,
            hosts=[host.spec for host in self.second_hosts],
            variables=variables or {},
            limits=limits.limit_overrides() | alone,
            vip=SECOND_VIP,
            vip_port=VIP_PORT,
            vip_names="b.k8s.io k8s-b-vip",
        )

    def _write(self, name: str, path: Path | None = None, **more: object) -> None:
        templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        text = templates.get_template(f"{name}.j2").render(
            lab=self.name,
            state=self.state,
            **{"hosts": [host.spec for host in self.hosts], **more},
            enter=shlex.join(self.operator_argv([])),
        )
        _write(path or self.state / name, text)

    def _clear(self, lock: int) -> None:
        """Remove everything under the lab's name, and with the last lab the machine's routes."""
        cgroups.kill(self.name)
        network.kill_inside(self.name)
        cgroups.remove(self.name)
        for plan in KNOWN_HOSTS:
            nspawn.remove_leftovers(self.name, plan, LabHost(self, plan).root)
        disk.unmount_below(self.state, [lock])
        network.remove_all(self.name, [lock])
        disk.erase(self.state)
        with locked(_MACHINE_LOCK, self._say) as machine:
            if not self.existing():
                network.unblock_lab_ranges([lock, machine])
                network.release([lock, machine])

    def _read_state(self) -> Any:
        return json.loads((self.state / "state.json").read_text())

    @property
    def images(self) -> image.BaseImages:
        """The read-only layers that its hosts' disks lie on."""
        state = self._read_state()
        return image.BaseImages(*(Path(state[layer]) for layer in ("base", "chrony", "firewalld")))


_TEST_LAB = re.compile(r"test-(\d+)(-.*)?")


def remove_stale_test_labs() -> list[str]:
    """Remove labs named `test-<pid>` whose process has ended; returns their names."""
    swept = []
    for name in Lab.existing():
        match = _TEST_LAB.fullmatch(name)
        if match and not Path("/proc", match[1]).exists():
            Lab(name).down()
            swept.append(name)
    return swept


@contextmanager
def running_lab(name: str, say: Say = _silent, hosts: Sequence[str] | None = None) -> Iterator[Lab]:
    """A context manager: a lab that is up inside the `with` and removed after it.

    SIGTERM and SIGHUP end the `with` as an exception does. After a SIGKILL the next call removes
    the leftovers, if the name was `test-<pid>` of the killed process.

    Raises LabUnavailable, LabError as `Lab.up` does.
    """
    if reason := unavailable():
        raise LabUnavailable(reason)
    remove_stale_test_labs()
    lab = Lab(name, say, hosts)
    with _signals_raise():
        try:
            lab.up()
            yield lab
        finally:
            lab.down()


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit where they would kill the process."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    changed = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            with contextlib.suppress(
                ValueError
            ):  # not the main thread, which alone may set handlers
                signal.signal(number, leave)
                changed.append(number)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


def _boot_id() -> str:
    """Changes when the machine restarts (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_text(text)
    partial.rename(path)
