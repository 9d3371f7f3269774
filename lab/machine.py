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

from hale.polling import wait_until
from lab import cgroups, disk, image, limits, network, nspawn, prerequisites, ssh
from lab.errors import LabError, LabUnavailable
from lab.lock import locked
from lab.prerequisites import unavailable
from lab.topology import HOSTS, STATE_ROOT, VIP, VIP_PORT, HostSpec, checked_name

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

#: Seconds from power on until a host must accept logins; usually below 3.
BOOT_TIMEOUT = 60.0

#: Guards what all labs of the machine share: the unreachable routes.
_MACHINE_LOCK = Path("/run/hale-lab.lock")


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True)
class HostStatus:
    """A host's power state, the banner of its sshd if it answers, and its uptime in seconds."""

    name: str
    address: str
    on: bool
    banner: str | None
    uptime: float | None


class LabHost:
    """One host of a lab: a systemd-nspawn machine with its own network namespace."""

    def __init__(self, lab: Lab, plan: HostSpec) -> None:
        self.lab = lab
        self.spec = plan

    def __repr__(self) -> str:
        return f"<LabHost {self.name} of lab {self.lab.name!r}>"

    @property
    def name(self) -> str:
        """The host's name in the baseline."""
        return self.spec.name

    @property
    def address(self) -> str:
        """The host's address in the baseline; it exists in the lab's namespaces only."""
        return str(self.spec.address)

    @property
    def folder(self) -> Path:
        """The host's part of the lab's state folder."""
        return self.lab.state / "hosts" / self.name

    @property
    def root(self) -> Path:
        """The host's disk, which stays mounted on the machine while the host is off.

        /run, /tmp and /proc of the running host are not on it.
        """
        return self.folder / "root"

    @property
    def running(self) -> bool:
        """Whether the host's PID 1 is running."""
        return nspawn.find_init(self.lab.name, self.name) is not None

    def run(
        self, script: str, *, check: bool = True, input: bytes | None = None, timeout: float = 30
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a shell script as root inside the running host, without ssh.

        It runs in the host's namespaces and control groups with a clean environment; systemctl
        works. nspawn's system call filter does not apply: commands that reach beyond namespaces
        (swapoff, modprobe, the clock) affect the machine, so never run them here.

        Raises LabError if the host is off or, with `check`, if the script fails;
        subprocess.TimeoutExpired after `timeout` seconds.
        """
        leader = nspawn.find_init(self.lab.name, self.name)
        if leader is None:
            raise LabError(f"{self.name} is off: `invoke lab.power on {self.name}`")
        done = nspawn.run_inside(leader, script, input=input, timeout=timeout)
        if check and done.returncode:
            words = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise LabError(f"{self.name}: `{script}` failed ({done.returncode}): {words}")
        return done

    def power_off(self) -> None:
        """Cut the power: all processes of the host die at once, and its network goes."""
        with self.lab.locked() as lock:
            self._cut_power(lock)

    def power_on(self, wait: bool = True) -> None:
        """Switch the host on, with the network namespace of a fresh kernel, unless it is on.

        With `wait` it returns once the host accepts logins and has finished booting. Raises
        LabError with the end of the console otherwise.
        """
        with self.lab.locked() as lock:
            self._power_on(lock)
        if wait:
            self.lab._wait_until_ready([self])

    def power_cycle(self) -> None:
        """Cut the power and switch on again; returns once the host accepts logins."""
        with self.lab.locked() as lock:
            self._cut_power(lock)
            self._power_on(lock)
        self.lab._wait_until_ready([self])

    def reboot(self) -> None:
        """Shut the host down cleanly and boot it; returns once it accepts logins.

        `systemctl reboot` on the host itself does the same without waiting.
        """
        before = nspawn.find_init(self.lab.name, self.name)
        self.run("systemctl reboot")

        def pending() -> bool:
            return nspawn.find_init(self.lab.name, self.name) in (before, None)

        if wait_until(pending, BOOT_TIMEOUT, 0.02):
            raise LabError(f"{self.name} did not reboot within {BOOT_TIMEOUT:.0f} s")
        self.lab._wait_until_ready([self])

    def reset(self) -> None:
        """Replace the host's disk, but for machine-id and ssh host keys, and boot it."""
        with self.lab.locked() as lock:
            self._cut_power(lock)
            disk.unmount_below(self.folder, [lock])
            for layer in ("upper", "work", "real"):
                disk.erase(self.folder / layer)
            self._install(self.lab._images(), lock)
            self._power_on(lock)
        self.lab._wait_until_ready([self])

    def boot_after_exit(self) -> None:
        """Boot the host after it rebooted itself; called by lab.on_host_exit."""
        with self.lab.locked() as lock:
            self._boot(lock)

    def status(self) -> HostStatus:
        """The host's status; waits for its sshd's banner for at most 2 s."""
        leader = nspawn.find_init(self.lab.name, self.name)
        if leader is None:
            return HostStatus(self.name, self.address, False, None, None)
        # The first line is the banner (RFC 4253 4.2); `read` ends with it, or after 2 s.
        ask = f'read -r -t 2 banner < /dev/tcp/{self.address}/22 && echo "$banner"'
        result = subprocess.run(
            self.lab.operator_argv(["timeout", "2", "bash", "-c", ask]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        return HostStatus(
            self.name, self.address, True, result.stdout.strip() or None, leader.uptime
        )

    def _install(self, images: image.BaseImages, lock: int) -> None:
        disk.mount(self.folder, images.lower(self.spec.firewalld), [lock])
        disk.install(self.spec, self.lab.state, self.folder)

    def _cut_power(self, lock: int) -> None:
        self._stop(lock)
        cgroups.remove(self.lab.name, self.name)

    def _stop(self, lock: int) -> None:
        network.unplug(self.lab.name, self.spec, [lock])
        cgroups.kill(self.lab.name, self.name)
        network.remove(self.lab.name, self.spec, [lock])
        nspawn.remove_leftovers(self.lab.name, self.spec, self.root)

    def _power_on(self, lock: int) -> None:
        if not self.lab.is_up:
            raise LabError(f"lab {self.lab.name!r} is down: `invoke lab.up` first")
        if not self.running:
            self._boot(lock)

    def _boot(self, lock: int) -> None:
        self._stop(lock)  # the host may have switched itself off, which leaves its namespace
        network.plug_in(self.lab.name, self.spec, [lock])
        disks = disk.bind_folders(self.folder)
        nspawn.start(self.lab.name, self.spec, self.root, disks, self._console, [lock])

    @property
    def _console(self) -> Path:
        return self.folder / "console.log"


class Lab:
    """A lab by its name, up or down. Creating the object changes nothing on the machine."""

    def __init__(
        self, name: str = "lab", say: Say = _silent, hosts: Sequence[str] | None = None
    ) -> None:
        """`say` is called with one line of text for each step. `hosts` selects some of the
        baseline's hosts; the default is all of them, or those of the lab if it is up. A machine
        has room for about twenty hosts.

        Raises LabError if a name is invalid.
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
                off = [host for host in self.hosts if not host.running]
                self._say(f"lab {self.name} is up" + (", hosts to switch on:" if off else ""))
                for host in off:
                    self._say(f"  {host.name}")
                    host._boot(lock)
                self._wait_until_ready(off)
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
        step("bridge and operator's namespace")
        ssh.make_key(self.state, [lock])

        def switch_on(host: LabHost) -> LabHost:
            disk.make_identity(host.spec, host.folder, [lock])
            host._install(images, lock)
            host._boot(lock)
            return host

        with ThreadPoolExecutor(len(self.hosts)) as pool:
            for host in pool.map(switch_on, self.hosts):
                step(f"{host.name} is booting")
        self._write("ssh_config")
        self.write_inventory()
        _write(self.known_hosts, ssh.known_hosts((host.spec, host.root) for host in self.hosts))
        self._wait_until_ready(self.hosts)
        step("all hosts accept logins")
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
            limits=limits.limit_overrides(),
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
            hosts=[host.spec for host in self.hosts],
            enter=shlex.join(self.operator_argv([])),
            **more,
        )
        _write(self.state / name, text)

    def _wait_until_ready(self, hosts: Sequence[LabHost]) -> None:
        """Wait until the hosts accept logins and have finished booting, failed units or not."""
        end = time.monotonic() + BOOT_TIMEOUT
        for host in hosts:
            while True:
                leader = nspawn.find_init(self.name, host.name)
                if leader is not None and leader.accepts_logins:
                    break
                alive = leader is not None or cgroups.processes(self.name, host.name)
                if not alive or time.monotonic() > end:
                    raise self._did_not_boot(
                        host, "is off" if not alive else "does not accept logins"
                    )
                time.sleep(0.02)
            network.refresh_arp(self.name, host.spec)
        for host in hosts:
            left = max(1.0, end - time.monotonic())
            try:
                host.run("systemctl is-system-running --wait", check=False, timeout=left)
            except subprocess.TimeoutExpired as e:
                raise self._did_not_boot(host, "is still booting") from e

    def _did_not_boot(self, host: LabHost, how: str) -> LabError:
        return LabError(
            f"{host.name} {how} and should be up by now. "
            + (prerequisites.lacks_capacity(1) or f"Its console ({host._console}) ends with:")
            + f"\n{nspawn.console_tail(host._console)}"
        )

    def _clear(self, lock: int) -> None:
        """Remove everything under the lab's name, and with the last lab the machine's routes."""
        cgroups.kill(self.name)
        network.kill_inside(self.name)
        cgroups.remove(self.name)
        for plan in HOSTS:
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

    def _images(self) -> image.BaseImages:
        state = self._read_state()
        return image.BaseImages(Path(state["base"]), Path(state["firewalld"]))


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
