"""A cluster on a lab, and the operator's commands on it in processes of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import msgspec

from hale.apply import journal
from hale.apply.journal import RunHistory
from hale.polling import wait_until
from lab.machine import Lab
from lab.topology import VIP

ROOT = Path(__file__).parents[2]
# The host that has dnf and containerd 2, where the others have apt and containerd 1.
DNF = "k8s-node-02"
# What the secrets of every run of these tests are: they must be found nowhere afterwards.
TOKEN = "f00d1e.5a3c9e7b1d8f6042"
KEY = "5ec2e7" + "0f" * 29
PLANTED = (TOKEN, TOKEN.partition(".")[2], KEY)
# Phases of which the lab's inventory asks nothing (test_routed.py does).
NOT_ASKED_FOR = ("ingress", "dashboard", "federation")
READS = 3  # how often one process is looked into
PATIENCE = 1500.0  # seconds for an install on a busy machine
SETTLES = 300.0  # seconds for a cluster to be whole after the test before
ANSWERS = 90.0  # seconds for an apiserver that is busy to answer kubectl
# Until sshd has seen the operator's end: the lock's session is over then (hale/apply/lock.sh).
UNTIL_STALE = r"""
lock=/var/lib/hale/lock
for _ in $(seq 600); do
  { read -r _ && read -r pid start _; } 2>/dev/null <"$lock" || exit 0
  read -r line 2>/dev/null <"/proc/$pid/stat" || exit 0
  set -- ${line##*) }
  [ "${20}" = "$start" ] || exit 0
  sleep 0.1
done
echo "the session of $(cat "$lock") is not over" >&2
exit 1
"""


@dataclass
class Running:
    """A command that runs, and the file that its output goes to."""

    child: "subprocess.Popen[bytes]"
    out: Path

    def kill(self) -> None:
        """kill -9, if it still runs."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def completed(self) -> "subprocess.CompletedProcess[str]":
        """How it ended, and all that it said."""
        said = [p.read_text(errors="replace") for p in (self.out, self.out.with_suffix(".err"))]
        return subprocess.CompletedProcess([], self.child.returncode, *said)

    def account(self) -> str:
        """For a failure: in the first line its status and last words, then all that it said.

        Of a first try that failed a run keeps one line.
        """
        status = self.child.poll()
        ended = "it runs" if status is None else f"it ended with {status}"
        done = self.completed()
        lines = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        return f"{ended}: {lines[-1]}\n{done.stdout}\n{done.stderr}"


class Built:
    """The lab, its inventory, and where the runs' folders are made."""

    def __init__(self, lab: Lab, reports: Path) -> None:
        self.lab = lab
        self.inventory = lab.inventory
        self.reports = reports
        reports.mkdir(parents=True, exist_ok=True)
        self.unsettled: list[str] = []  # of the last `settle`
        self.first: subprocess.CompletedProcess[str] | None = None
        self.sampled: Sampler | None = None
        self._runs = 0

    def invoke(self, *words: str, timeout: float = PATIENCE) -> "subprocess.CompletedProcess[str]":
        """`invoke WORDS --inventory … --reports …`, with the planted secrets."""
        running = self.start(*words)
        try:
            running.child.wait(timeout)
        finally:
            running.kill()
        return running.completed()

    def start(self, *words: str) -> "Running":
        """The same, still running."""
        task, *options = words
        more = [] if task == "kubeconfig" else ["--reports", str(self.reports)]
        # An undo knows its inventory: the run's that it takes back.
        known = task == "undo" or "--inventory" in options
        given = [] if known else ["--inventory", str(self.inventory)]
        self._runs += 1
        out = self.reports.parent / f"run-{self._runs:03}.txt"
        with out.open("wb") as stdout, out.with_suffix(".err").open("wb") as stderr:
            child = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.cluster.known_secrets_main",
                    task,
                    *options,
                    *given,
                    *more,
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        return Running(child, out)

    def install(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`invoke install --yes`, to its end."""
        return self.invoke("install", "--yes", *options)

    def reset(self, *options: str) -> subprocess.CompletedProcess[str]:
        """`invoke reset --yes`, to its end."""
        return self.invoke("reset", "--yes", "--cluster-name", "kubernetes", *options)

    @contextmanager
    def edited(self, *changes: tuple[str, str]) -> Iterator[Path]:
        """The inventory with parts of it changed, beside it, so that its files are found."""
        text = self.inventory.read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = self.inventory.with_name("edited.ini")
        path.write_text(text)
        try:
            yield path
        finally:
            path.unlink()

    def histories(self) -> list[RunHistory]:
        """The journals of all runs, the oldest first."""
        found = sorted(self.reports.glob(f"*/{journal.NAME}"))
        return [journal.load_run(p.parent) for p in found]

    def killed(self, phase: str, delay: float, *options: str) -> bool:
        """Install, and kill -9 the operator `delay` seconds after that phase began.

        False where the run was over before that.
        """
        known = set(self.reports.glob("*-install"))
        running = self.start("install", "--yes", "--force-unlock", *options)
        try:
            reached = self.reached(running, known, phase)
            if reached:
                time.sleep(delay)
            return reached and running.child.poll() is None
        finally:
            running.kill()
            for host in self.lab.hosts:
                host.run(UNTIL_STALE, timeout=90)

    def reached(self, running: "Running", known: set[Path], phase: str) -> bool:
        """Wait until the run's journal says that the phase began; False where it ended before.

        known: the folders of runs that were there before.
        """
        until = time.monotonic() + PATIENCE
        while running.child.poll() is None and time.monotonic() < until:
            for folder in set(self.reports.glob("*-install")) - known:
                path = folder / journal.NAME
                lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
                for entry in map(msgspec.json.decode, lines):
                    if entry["type"] == "phase" and entry["name"] == phase:
                        return bool(entry["state"] == "begun")
            time.sleep(0.05)
        return False

    def kubectl(self, *words: str) -> str:
        """What kubectl says on the first master that lets it; a busy one is asked again."""
        said: list[str] = []

        def refused() -> str:
            said.clear()
            for host in self.lab.hosts[:3]:
                done = host.run(
                    f"kubectl --kubeconfig /etc/kubernetes/admin.conf {' '.join(words)}",
                    check=False,
                    timeout=300,
                )
                if done.returncode == 0:
                    said.append(done.stdout.decode())
                    return ""
            return done.stderr.decode() or "it said nothing"

        why = wait_until(refused, ANSWERS, 2.0)
        assert not why, f"kubectl {' '.join(words)}: {why}"
        return said[0]

    @property
    def whole(self) -> bool:
        """Whether every host has its part of a cluster on its disk."""
        return all((h.root / "etc/kubernetes/kubelet.conf").exists() for h in self.lab.hosts)

    def owner(self) -> str:
        """The master that has the VIP; waits while there is none, or more than one."""
        found: list[str] = []

        def unclear() -> bool:
            ask = f"ip -o address show to {VIP}"
            found[:] = [h.name for h in self.lab.hosts[:3] if h.run(ask).stdout.strip()]
            return len(found) != 1

        assert not wait_until(unclear, SETTLES, 1.0), f"the VIP is on {found or 'no master'}"
        return found[0]

    def settle(self) -> None:
        """Wait until nodes, apiservers, load balancers and the VIP are as on a healthy cluster.

        A test before this one, or its own first try, may have left them at work, and a machine
        with other work too takes its time. One that does not become healthy is not waited for
        again. Raises AssertionError with what is wrong.
        """
        patience = 10.0 if self.unsettled else SETTLES
        self.unsettled = wait_until(self._wrong, patience, 2.0)
        assert not self.unsettled, f"the cluster is not whole: {'; '.join(self.unsettled)}"

    def _wrong(self) -> list[str]:
        masters = self.lab.hosts[:3]
        found, holders = [], 0
        nodes: dict[str, str] = {}
        for host in masters:
            lines = host.run(_HEALTH, timeout=300).stdout.decode().splitlines()
            said = [line.split(" ", 1) for line in lines if " " in line]
            found += [f"{host.name}: {why}" for word, why in said if word == "wrong"]
            holders += sum(word == "holds" for word, _ in said)
            nodes |= dict(why.split() for word, why in said if word == "node")
        if holders != 1:
            found.append(f"{holders} masters have the VIP")
        ready = {name for name, state in nodes.items() if state == "Ready"}
        if missing := {h.name for h in self.lab.hosts} - ready:
            found.append(f"not Ready: {', '.join(f'{n} {nodes.get(n)}' for n in sorted(missing))}")
        return found

    def remains(self, host: str) -> list[str]:
        """What of a cluster is on a host, looked for without the suite's own probes."""
        return self.lab[host].run(_REMAINS, timeout=60).stdout.decode().split("\n")[:-1]


# A line each: `wrong WHY`, `node NAME STATE`, `holds VIP`. Column 18 of haproxy is the state.
_HEALTH = rf"""
out=$(curl -sk -m 20 https://127.0.0.1:6443/readyz) && [ "$out" = ok ] ||
  echo "wrong readyz: ${{out:-no answer}}" | tr '\n' ' '
echo
stat=$(echo show stat | socat -t 20 - /run/haproxy/admin.sock) || echo 'wrong no answer of haproxy'
echo "$stat" | awk -F, '/^apiservers,/ && $18 != "UP" {{ print "wrong haproxy: " $2 " is " $18 }}'
kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 20s get nodes --no-headers |
  awk '{{ print "node " $1 " " $2 }}'
[ -z "$(ip -o address show to {VIP})" ] || echo 'holds {VIP}'
"""
_REMAINS = r"""
! [ -S /run/containerd/containerd.sock ] || ctr -n k8s.io containers ls -q | sed 's/^/container /'
ps -eo args |
  grep -E '^(/(pause|traefik|headlamp|coredns|usr/bin/kubelet)|kube-|etcd |haproxy|keepalived)
containerd-shim' |
  grep -v grep | sed 's/^/process /'
cut -d' ' -f2 /proc/mounts | grep -E '^/var/lib/kubelet/|^/run/netns/|^/run/containerd/' |
  sed 's/^/mount /'
ls /sys/class/net | grep -vxE 'lo|eth0' | sed 's/^/interface /'
{ iptables-save; ip6tables-save; nft list ruleset; } 2>/dev/null | grep -iE 'kube|cni|lab' |
  sed 's/^/rule /'
ip -o addr show | grep -F 10.208.1.190 | sed 's/^/vip /'
ip route | grep -E '10\.244|10\.96' | sed 's/^/route /'
ss -Hltn | grep -E ':(6443|16443|2379|2380|10250|10256|10257|10259) ' | sed 's/^/port /'
ls -d /etc/kubernetes /etc/cni/net.d/* /var/lib/etcd/* /var/lib/kubelet/* /var/lib/cni 2>/dev/null |
  sed 's/^/file /'
true
"""


class Sampler:
    """Looks all the time into every process of the machine, which holds the lab's hosts."""

    def __init__(self, built: Built) -> None:
        self.looks = 0
        self.found: set[str] = set()
        self.kubeadm = 0  # how often a kubeadm was seen at work
        self._built = built
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        secrets = [s.encode() for s in PLANTED]
        # A process is read a few times only, also after an exec: the machine has others to serve.
        times = {str(os.getpid()): READS}
        while not self._stop.wait(0.2):
            self.looks += 1
            alive = [p for p in os.listdir("/proc") if p.isdecimal()]  # noqa: PTH208 - quick
            times = {p: times.get(p, 0) for p in alive}
            for process in alive:
                if times[process] >= READS:
                    continue
                times[process] += 1
                try:
                    argv = Path("/proc", process, "cmdline").read_bytes()
                    environ = Path("/proc", process, "environ").read_bytes()
                except OSError:
                    continue
                self.kubeadm += argv.startswith(b"kubeadm\0")
                for shown, where in ((argv, "argv"), (environ, "environ")):
                    if any(s in shown for s in secrets):
                        self.found.add(f"{where}: {shown[:200]!r}")


def phases(history: RunHistory) -> dict[str, str]:
    """Each phase of an install and how it ended."""
    return {name: entry.state for name, entry in history.phases.items()}
