"""Boot a host with systemd-nspawn(1), and find it without a state file."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import cgroups, daemonize, network
from lab.errors import LabError
from lab.subprocesses import ENVIRONMENT
from lab.topology import HostSpec, name_prefix

_LEFTOVERS = Path("/run/systemd/nspawn")

#: nspawn's exit status if the host requested a reboot, for the process that keeps it running.
_REBOOT = 133

_CONTAINER_INIT = Path(__file__).with_name("container-init.sh")

_SSH = f":{22:04X}"
_LISTEN = "0A"


@dataclass(frozen=True)
class InitProcess:
    """A running host's PID 1, by its number on the machine."""

    pid: int

    @property
    def root(self) -> Path:
        """The host's file system as its own PID 1 sees it."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def uptime(self) -> float:
        """Seconds since the host's PID 1 started."""
        begun = int(Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[19])
        now = float(Path("/proc/uptime").read_text().split()[0])
        return now - begun / os.sysconf("SC_CLK_TCK")

    @property
    def accepts_logins(self) -> bool:
        """Whether logins are accepted: sshd listens and pam_nologin(8)'s file is gone.

        Read from the kernel's tables, so polling costs the host nothing. The file is created
        long before sshd starts, so sshd without it means that logins are open.
        """
        try:
            tables = [Path(f"/proc/{self.pid}/net/{t}").read_text() for t in ("tcp", "tcp6")]
        except OSError:
            return False
        sockets = [line.split() for table in tables for line in table.splitlines()[1:]]
        return any(
            s[1].endswith(_SSH) and s[3] == _LISTEN for s in sockets
        ) and not os.path.lexists(self.root / "run/nologin")


def start(
    lab: str,
    host: HostSpec,
    root: Path,
    disks: Mapping[Path, str],
    log: Path,
    keep: Sequence[int],
) -> None:
    """Start nspawn, detached, inside the host's own control groups; returns once it is in them.

    Its parent waits for its end and, if the host rebooted itself, boots it with a new network
    namespace (lab.on_host_exit); nspawn would keep the old one and its sysctls. `disks` maps
    folders of the machine to the host's (disk.REAL).
    """
    groups = cgroups.create(lab, host.name)
    nspawn = [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        f"--directory={root}",
        f"--machine={name_prefix(lab)}{host.name}",
        # What a kernel says before /etc/hostname was read; without it that would be the machine's.
        "--hostname=localhost",
        f"--network-namespace-path={network.NETNS / network.of_host(lab, host.name)}",
        "--capability=CAP_NET_ADMIN",
        # What runc calls beyond nspawn's list: a session keyring for a container (keyrings(7)),
        # and the device rules of version 2 control groups (bpf(2)).
        "--system-call-filter=add_key keyctl request_key bpf",
        # A host has no kernel log of its own, and the machine's is not its. The kubelet wants one.
        "--bind=/dev/null:/dev/kmsg",
        *(f"--bind={folder}:{where}" for folder, where in disks.items()),
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
        "/bin/sh",
        "-c",
        _CONTAINER_INIT.read_text(),
    ]
    environment = {
        **ENVIRONMENT,
        # Only /proc/sys/net is the host's own. kernel.*, vm.*, fs.* are the machine's and stay
        # read-only, so that a host's systemd-sysctl cannot change the machine.
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
    }
    script = "\n".join(
        [
            "(",
            *(daemonize.join(group / cgroups.MACHINE) for group in groups),
            f"exec {shlex.join(nspawn)}",
            ")",
            f"[ $? = {_REBOOT} ] || exit",
            "unset SYSTEMD_NSPAWN_API_VFS_WRITABLE",
            f"export PYTHONPATH={shlex.quote(str(Path(__file__).parents[1]))}",
            f"exec {shlex.join([sys.executable, '-m', 'lab.on_host_exit', lab, host.name])}",
        ]
    )
    power = [group / cgroups.POWER for group in groups]
    daemonize.start(power, script, log, environment, keep)


def find_init(lab: str, host: str) -> InitProcess | None:
    """The host's PID 1, or None if the host is off.

    It is the process of the host's groups that is number 1 exactly one pid namespace below ours
    (containers inside the host have number 1 two below) and has become systemd.
    """
    for pid in cgroups.processes(lab, host):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            executable = Path(f"/proc/{pid}/exe").readlink()
        except OSError:
            continue
        numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
        if len(numbers) == 2 and numbers[1] == "1" and executable.name == "systemd":
            return InitProcess(pid)
    return None


def run_inside(
    leader: InitProcess, script: str, *, input: bytes | None, timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Run `script` with the host's /bin/sh as root, in all its namespaces and control groups.

    Raises subprocess.TimeoutExpired after `timeout` seconds; the script is killed then.
    """
    joins = [daemonize.join(group) for group in cgroups.of_process(leader.pid)]
    enter = ["nsenter", f"--target={leader.pid}", "--all", "--root", "--wd", "--"]
    clean = ["/usr/bin/env", "-i", *(f"{k}={v}" for k, v in ENVIRONMENT.items()), "/bin/sh", "-c"]
    argv = ["bash", "-c", "\n".join([*joins, f'exec {shlex.join(enter)} "$@"']), "bash", *clean]
    process = subprocess.Popen(
        [*argv, script],
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,  # so that a timeout reaches all of it
    )
    try:
        out, err = process.communicate(input, timeout=timeout)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(script, process.returncode, out, err)


def remove_leftovers(lab: str, host: HostSpec, root: Path) -> None:
    """Remove what a killed nspawn leaves in /run. Call it while `root` is still mounted."""
    if root.is_dir():
        disk = root.stat()
        (_LEFTOVERS / f"locks/inode-{disk.st_dev}:{disk.st_ino}").unlink(missing_ok=True)
    for folder in _LEFTOVERS.glob(f"*/{name_prefix(lab)}{host.name}"):
        shutil.rmtree(folder, ignore_errors=True)


def console_tail(log: Path) -> str:
    """The end of a host's console, for an error message."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError as e:
        raise LabError(f"there is no console log {log}") from e
    return "\n".join(lines[-15:])
