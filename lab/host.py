"""A host of a lab: switched on and off, rebooted, reset, and what runs in it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hale.polling import wait_until
from hale.shell import load_script
from lab import cgroups, disk, image, network, nspawn, prerequisites
from lab.errors import LabError
from lab.topology import HostSpec, pod_routes

if TYPE_CHECKING:
    from lab.machine import Lab

#: Seconds from power on until a host must accept logins; usually below 3, on a machine with a load
#: of 40 a minute and more.
BOOT_TIMEOUT = 240.0
#: Seconds for a script that asks for no other limit; kubectl alone needs 30 on such a machine.
RUN_TIMEOUT = 120.0
#: Seconds for the banner of an sshd; one that is there answers at once on an idle machine.
BANNER_TIMEOUT = 15
_BOOTED = load_script(Path(__file__).with_name("booted.sh"))


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
        self,
        script: str,
        *,
        check: bool = True,
        input: bytes | None = None,
        timeout: float = RUN_TIMEOUT,
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
            wait_until_ready([self])

    def power_cycle(self) -> None:
        """Cut the power and switch on again; returns once the host accepts logins."""
        with self.lab.locked() as lock:
            self._cut_power(lock)
            self._power_on(lock)
        wait_until_ready([self])

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
        wait_until_ready([self])

    def reset(self) -> None:
        """Replace the host's disk, but for machine-id and ssh host keys, and boot it."""
        with self.lab.locked() as lock:
            self._cut_power(lock)
            disk.unmount_below(self.folder, [lock])
            for layer in ("upper", "work", "real"):
                disk.erase(self.folder / layer)
            self.install_disk(self.lab.images, lock)
            self._power_on(lock)
        wait_until_ready([self])

    def boot_after_exit(self) -> None:
        """Boot the host after it rebooted itself; called by lab.on_host_exit."""
        with self.lab.locked() as lock:
            self.boot(lock)

    def status(self) -> HostStatus:
        """The host's status; waits for its sshd's banner for at most 15 s."""
        leader = nspawn.find_init(self.lab.name, self.name)
        if leader is None:
            return HostStatus(self.name, self.address, False, None, None)
        # The first line is the banner (RFC 4253 4.2); `read` ends with it, or in time.
        ask = f'read -r -t {BANNER_TIMEOUT} banner < /dev/tcp/{self.address}/22 && echo "$banner"'
        result = subprocess.run(
            self.lab.operator_argv(["timeout", str(BANNER_TIMEOUT), "bash", "-c", ask]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        return HostStatus(
            self.name, self.address, True, result.stdout.strip() or None, leader.uptime
        )

    def install_disk(self, images: image.BaseImages, lock: int) -> None:
        """Mount the host's disk and write what is its own. lock: of the lab, held by children."""
        disk.mount(self.folder, images.lower(self.spec.firewalld), [lock])
        routes = pod_routes(self.spec, [host.spec for host in self.lab.hosts])
        disk.install(self.spec, self.lab.state, self.folder, routes)

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
            self.boot(lock)

    def boot(self, lock: int) -> None:
        """Boot the host, which is off. lock: of the lab, held by children."""
        self._stop(lock)  # the host may have switched itself off, which leaves its namespace
        network.plug_in(self.lab.name, self.spec, [lock])
        disks = disk.bind_folders(self.folder)
        nspawn.start(self.lab.name, self.spec, self.root, disks, self._console, [lock])

    @property
    def _console(self) -> Path:
        return self.folder / "console.log"

    def wait_for_login(self, end: float) -> None:
        """Wait until the host accepts logins. end: of the wait, as of time.monotonic().

        Raises LabError if the host is off, or if it takes too long.
        """

        def is_booting() -> bool:
            leader = nspawn.find_init(self.lab.name, self.name)
            return leader is None or not leader.accepts_logins

        def is_off() -> bool:
            leader = nspawn.find_init(self.lab.name, self.name)
            return leader is None and not cgroups.processes(self.lab.name, self.name)

        if wait_until(is_booting, end - time.monotonic(), 0.02, is_off):
            raise self._did_not_boot("is off" if is_off() else "does not accept logins")
        network.refresh_arp(self.lab.name, self.spec)

    def wait_for_boot(self, end: float) -> None:
        """Wait until the host has finished booting, failed units or not, and knows the time.

        Raises LabError.
        """
        remaining = max(1.0, end - time.monotonic())
        try:
            self.run(_BOOTED, check=False, timeout=remaining)
        except subprocess.TimeoutExpired as e:
            raise self._did_not_boot("is still booting") from e

    def _did_not_boot(self, how: str) -> LabError:
        return LabError(
            f"{self.name} {how} and should be up by now. "
            + (prerequisites.lacks_capacity(1) or f"Its console ({self._console}) ends with:")
            + f"\n{nspawn.console_tail(self._console)}"
        )


def wait_until_ready(hosts: Sequence[LabHost]) -> None:
    """Wait until the hosts accept logins and have finished booting, failed units or not.

    Raises LabError with the end of the console of one that has not within BOOT_TIMEOUT.
    """
    end = time.monotonic() + BOOT_TIMEOUT
    for host in hosts:
        host.wait_for_login(end)
    for host in hosts:
        host.wait_for_boot(end)
