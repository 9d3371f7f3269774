"""The lab: the document's five hosts, raised, switched and taken down.

    >>> with raised(f"test-{os.getpid()}") as lab:  # doctest: +SKIP
    ...     lab["k8s-node-01"].run("systemctl is-system-running").stdout
    b'running\\n'

Several labs can be up at a time, each in network namespaces of its own. Clean-up goes by what
exists under the lab's name (processes in its control groups, mounts, namespaces), never by a
state file alone, so it is complete also after the lab was killed half-way.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lab import cgroups, disk, image, limits, network, nspawn, prerequisites, ssh
from lab.errors import LabError, LabUnavailable
from lab.lock import locked
from lab.prerequisites import unavailable
from lab.topology import HOSTS, STATE_ROOT, VIP, VIP_PORT, HostPlan, checked_name

__all__ = ["HostStatus", "Lab", "LabError", "LabHost", "LabUnavailable", "raised", "unavailable"]

Say = Callable[[str], None]

#: Seconds a host may take from power on until it lets people log in; the usual is below 3.
BOOT = 60.0

#: Guards what all labs of the machine share: the unreachable routes.
_MACHINE_LOCK = Path("/run/hale-lab.lock")


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class HostStatus:
    """How a host is: switched on, its sshd's banner if it answers, seconds since it booted."""

    name: str
    address: str
    on: bool
    banner: str | None
    uptime: float | None


class LabHost:
    """One host of a lab: a systemd-nspawn machine with its own network namespace."""

    def __init__(self, lab: Lab, plan: HostPlan) -> None:
        self.lab = lab
        self.plan = plan

    def __repr__(self) -> str:
        return f"<LabHost {self.name} of lab {self.lab.name!r}>"

    @property
    def name(self) -> str:
        """The document's name of the host."""
        return self.plan.name

    @property
    def address(self) -> str:
        """The document's address of the host; it exists in the lab's namespaces only."""
        return str(self.plan.address)

    @property
    def folder(self) -> Path:
        """The host's part of the lab's state folder."""
        return self.lab.state / "hosts" / self.name

    @property
    def root(self) -> Path:
        """The host's disk, mounted on the machine also while the host is off.

        /run, /tmp and /proc of the running host are not on it.
        """
        return self.folder / "root"

    @property
    def running(self) -> bool:
        """Whether the host's PID 1 lives."""
        return nspawn.leader(self.lab.name, self.name) is not None

    def run(
        self, script: str, *, check: bool = True, input: bytes | None = None, timeout: float = 30
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script as root inside the running host, without ssh.

        It has the host's namespaces, control groups and a clean environment; systemctl works.
        It is not held by nspawn's system call filter: what reaches beyond namespaces (swapoff,
        modprobe, the clock) reaches the machine, so never do that here.

        Raises LabError if the host is off or, with `check`, if the script fails;
        subprocess.TimeoutExpired after `timeout` seconds.
        """
        leader = nspawn.leader(self.lab.name, self.name)
        if leader is None:
            raise LabError(f"{self.name} is off: `invoke lab.power on {self.name}`")
        done = nspawn.inside(leader, script, input=input, timeout=timeout)
        if check and done.returncode:
            words = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise LabError(f"{self.name}: `{script}` failed ({done.returncode}): {words}")
        return done

    def power_off(self) -> None:
        """Cut the power: everything of the host dies at once, its network with it."""
        with self.lab.locked() as lock:
            self._cut(lock)

    def power_on(self, wait: bool = True) -> None:
        """Switch the host on, with a network namespace as of a fresh kernel; on already is fine.

        With `wait` it returns when the host lets people log in and has finished booting.
        Raises LabError with the end of the console if it does not get there.
        """
        with self.lab.locked() as lock:
            self._power_on(lock)
        if wait:
            self.lab._await([self])

    def power_cycle(self) -> None:
        """Cut the power and switch on again; returns when the host lets people log in."""
        with self.lab.locked() as lock:
            self._cut(lock)
            self._power_on(lock)
        self.lab._await([self])

    def reboot(self) -> None:
        """Let the host shut down in good order and boot again; returns when people can log in.

        `systemctl reboot` on the host itself does the same, without the waiting.
        """
        before = nspawn.leader(self.lab.name, self.name)
        self.run("systemctl reboot")
        end = time.monotonic() + BOOT
        while nspawn.leader(self.lab.name, self.name) in (before, None):
            if time.monotonic() > end:
                raise LabError(f"{self.name} did not reboot within {BOOT:.0f} s")
            time.sleep(0.02)
        self.lab._await([self])

    def reset(self) -> None:
        """Give the host a fresh disk, keeping its machine-id and ssh host keys, and boot it."""
        with self.lab.locked() as lock:
            self._cut(lock)
            disk.unmount_below(self.folder, [lock])
            for layer in ("upper", "work", "real"):
                disk.erase(self.folder / layer)
            self._install(self.lab._images(), lock)
            self._power_on(lock)
        self.lab._await([self])

    def boot_again(self) -> None:
        """Boot the host after it rebooted itself; called by lab.reboot, not by people."""
        with self.lab.locked() as lock:
            self._boot(lock)

    def status(self) -> HostStatus:
        """How the host is now; asks its sshd for the banner, for at most 2 s."""
        leader = nspawn.leader(self.lab.name, self.name)
        if leader is None:
            return HostStatus(self.name, self.address, False, None, None)
        # The first line is the banner (RFC 4253 4.2); `read` ends with it, or after 2 s.
        ask = f'read -r -t 2 banner < /dev/tcp/{self.address}/22 && echo "$banner"'
        asked = subprocess.run(
            self.lab.operator_argv(["timeout", "2", "bash", "-c", ask]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        return HostStatus(
            self.name, self.address, True, asked.stdout.strip() or None, leader.uptime
        )

    def _install(self, images: image.Images, lock: int) -> None:
        disk.mount(self.folder, images.lower(self.plan.firewalld), [lock])
        disk.install(self.plan, self.lab.state, self.folder)

    def _cut(self, lock: int) -> None:
        self._stop(lock)
        cgroups.remove(self.lab.name, self.name)

    def _stop(self, lock: int) -> None:
        network.unplug(self.lab.name, self.plan, [lock])
        cgroups.kill(self.lab.name, self.name)
        network.remove(self.lab.name, self.plan, [lock])
        nspawn.forget(self.lab.name, self.plan, self.root)

    def _power_on(self, lock: int) -> None:
        if not self.lab.is_up:
            raise LabError(f"lab {self.lab.name!r} is down: `invoke lab.up` first")
        if not self.running:
            self._boot(lock)

    def _boot(self, lock: int) -> None:
        self._stop(lock)  # the host may have switched itself off, which leaves its namespace
        network.plug_in(self.lab.name, self.plan, [lock])
        disks = disk.real(self.folder)
        nspawn.start(self.lab.name, self.plan, self.root, disks, self._console, [lock])

    @property
    def _console(self) -> Path:
        return self.folder / "console.log"


class Lab:
    """A lab by its name, up or down. Making the object changes nothing on the machine."""

    def __init__(
        self, name: str = "lab", say: Say = _silent, hosts: Sequence[str] | None = None
    ) -> None:
        """`say` is told each step as one line of text; `hosts` names those of the document's hosts
        that the lab has (a machine has room for some twenty): all of them, or those it was raised
        with if it is up.

        Raises LabError if the name or a host's name is none.
        """
        self.name = checked_name(name)
        self.state = STATE_ROOT / self.name
        self._say = say
        if hosts is None and self.is_up:
            hosts = list(self._read_state()["hosts"])
        if unknown := set(hosts or ()) - {plan.name for plan in HOSTS}:
            raise LabError(f"the document has no host {', '.join(sorted(unknown))}")
        self.hosts = tuple(
            LabHost(self, plan) for plan in HOSTS if hosts is None or plan.name in hosts
        )

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
        return self._images().base

    @property
    def is_up(self) -> bool:
        """Whether the lab was raised completely since this machine booted."""
        try:
            return bool(self._read_state()["boot_id"] == _boot_id())
        except FileNotFoundError:
            return False

    @classmethod
    def existing(cls) -> list[str]:
        """Names of labs of which anything exists: state, control groups or namespaces."""
        names = cgroups.labs() | network.labs()
        with contextlib.suppress(FileNotFoundError):
            names.update(path.name for path in STATE_ROOT.iterdir() if path.is_dir())
        return sorted(names)

    def up(self) -> None:
        """Raise the lab; if it is up, only switch on the hosts that are off.

        Remains of a lab that was killed half-way, or that was up when the machine restarted, are
        cleared first. If raising fails or is interrupted, what was raised is taken down again.

        Raises LabUnavailable if this machine cannot carry a lab, LabError if raising fails.
        """
        if reason := unavailable():
            raise LabUnavailable(reason)
        prerequisites.install_missing(self._say)
        images = image.ready(self._say)
        with self.locked() as lock:
            if self.is_up:
                there = list(self._read_state()["hosts"])
                if there != [host.name for host in self.hosts]:
                    raise LabError(
                        f"lab {self.name} is up with {', '.join(there)}; take it down first"
                    )
                off = [host for host in self.hosts if not host.running]
                self._say(f"lab {self.name} is up" + (", hosts to switch on:" if off else ""))
                for host in off:
                    self._say(f"  {host.name}")
                    host._boot(lock)
                self._await(off)
                return
            if self.name in self.existing():
                self._say(f"clearing what is left of an earlier lab {self.name}")
            self._clear(lock)
            if reason := prerequisites.crowded(len(self.hosts)):
                raise LabUnavailable(reason)
            try:
                self._raise(images, lock)
            except BaseException:
                self._say("taking down what was raised")
                self._clear(lock)
                raise

    def down(self) -> None:
        """Take the lab down with everything it made; fine if there is nothing.

        Raises LabError if something could not be removed; it can be run again.
        """
        if os.geteuid() != 0:
            raise LabUnavailable("taking a lab down needs root: run it as root or with sudo")
        with self.locked() as lock:
            self._clear(lock)

    def operator_argv(self, argv: Sequence[str]) -> list[str]:
        """`argv` turned into a command that runs in the operator's network namespace."""
        return network.inside(network.operator(self.name), argv)

    def status(self) -> list[HostStatus]:
        """How the hosts are now."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            return list(pool.map(LabHost.status, self.hosts))

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the lab, so that nobody else changes it; yields what children inherit to hold it."""
        lock = STATE_ROOT / f"{self.name}.lock"
        try:
            with locked(lock, self._say, keep=self.state.exists) as fd:
                yield fd
        finally:
            with contextlib.suppress(OSError):  # somebody else's lab is there
                STATE_ROOT.rmdir()

    def _raise(self, images: image.Images, lock: int) -> None:
        begun = time.monotonic()

        def step(title: str) -> None:
            self._say(f"{time.monotonic() - begun:5.2f} s  {title}")

        # The folder first: it is by the folder that other labs know that the routes are needed.
        self.state.mkdir(parents=True, mode=0o755)
        with locked(_MACHINE_LOCK, self._say) as machine:
            network.guard([lock, machine])
        step("the lab's addresses are unreachable from this machine")
        network.raise_operator(self.name, [lock])
        step("bridge and operator's namespace")
        ssh.make_key(self.state, [lock])

        def switch_on(host: LabHost) -> LabHost:
            disk.make_identity(host.plan, host.folder, [lock])
            host._install(images, lock)
            host._boot(lock)
            return host

        with ThreadPoolExecutor(len(self.hosts)) as pool:
            for host in pool.map(switch_on, self.hosts):
                step(f"{host.name} is booting")
        self._write("ssh_config")
        self.write_inventory()
        _write(self.known_hosts, ssh.known_hosts((host.plan, host.root) for host in self.hosts))
        self._await(self.hosts)
        step("all hosts let people log in")
        state = {
            "boot_id": _boot_id(),
            "base": str(images.base),
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
            variables=variables or {},
            limits=limits.overrides(),
            vip=VIP,
            vip_port=vip_port,
        )

    def _write(self, name: str, **more: object) -> None:
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
            hosts=[host.plan for host in self.hosts],
            enter=shlex.join(self.operator_argv([])),
            **more,
        )
        _write(self.state / name, text)

    def _await(self, hosts: Sequence[LabHost]) -> None:
        """Wait until the hosts let people log in and have finished booting.

        Finished is finished: a unit that failed is the host's own business.
        """
        end = time.monotonic() + BOOT
        for host in hosts:
            while True:
                leader = nspawn.leader(self.name, host.name)
                if leader is not None and leader.admits:
                    break
                alive = leader is not None or cgroups.processes(self.name, host.name)
                if not alive or time.monotonic() > end:
                    raise self._did_not_boot(host, "is off" if not alive else "lets nobody log in")
                time.sleep(0.02)
            network.resolve_anew(self.name, host.plan)
        for host in hosts:
            left = max(1.0, end - time.monotonic())
            try:
                host.run("systemctl is-system-running --wait", check=False, timeout=left)
            except subprocess.TimeoutExpired as e:
                raise self._did_not_boot(host, "is still booting") from e

    def _did_not_boot(self, host: LabHost, how: str) -> LabError:
        return LabError(
            f"{host.name} {how} and should be up by now. "
            + (prerequisites.crowded(1) or f"Its console ({host._console}) ends with:")
            + f"\n{nspawn.last_words(host._console)}"
        )

    def _clear(self, lock: int) -> None:
        """Remove all that exists under the lab's name; the machine's routes with the last lab."""
        cgroups.kill(self.name)
        network.kill_inside(self.name)
        cgroups.remove(self.name)
        for plan in HOSTS:
            nspawn.forget(self.name, plan, LabHost(self, plan).root)
        disk.unmount_below(self.state, [lock])
        network.remove_all(self.name, [lock])
        disk.erase(self.state)
        with locked(_MACHINE_LOCK, self._say) as machine:
            if not self.existing():
                network.unguard([lock, machine])
                network.release([lock, machine])

    def _read_state(self) -> Any:
        return json.loads((self.state / "state.json").read_text())

    def _images(self) -> image.Images:
        state = self._read_state()
        return image.Images(Path(state["base"]), Path(state["firewalld"]))


_TEST_LAB = re.compile(r"test-(\d+)(-.*)?")


def sweep() -> list[str]:
    """Take down labs named `test-<pid>` whose process is gone; returns their names."""
    swept = []
    for name in Lab.existing():
        match = _TEST_LAB.fullmatch(name)
        if match and not Path("/proc", match[1]).exists():
            Lab(name).down()
            swept.append(name)
    return swept


@contextmanager
def raised(name: str, say: Say = _silent, hosts: Sequence[str] | None = None) -> Iterator[Lab]:
    """A lab that is up inside the `with` and taken down after it, however that ends.

    SIGTERM and SIGHUP end the `with` like an exception does. After a SIGKILL the next call sweeps
    what is left, if the name was `test-<pid>` of the killed process.

    Raises LabUnavailable, LabError as `Lab.up` does.
    """
    if reason := unavailable():
        raise LabUnavailable(reason)
    sweep()
    lab = Lab(name, say, hosts)
    with _signals_raise():
        try:
            lab.up()
            yield lab
        finally:
            lab.down()


@contextmanager
def _signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit, where they would kill without a word."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    changed = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            with contextlib.suppress(ValueError):  # not the main thread: not ours to say
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
