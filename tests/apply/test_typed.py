"""`invoke fix --apply`, `invoke undo` and `invoke runs` as an operator types them."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from hale.files import provenance
from hale.model.change import AppendLine, FileEdit, SymlinkChange
from hale.paths import ROOT
from hale.plan import plan
from hale.plan.plan import Step
from tests.apply.invoke_cli import INVOKE, PATIENCE, Operator

pytestmark = pytest.mark.lab

# Ten faults over all five hosts.
FAULTS = {
    "k8s-master-01": "sed -i '/k8s-vip/d' /etc/hosts; "
    "echo net.ipv4.ip_forward=0 >>/etc/sysctl.conf",
    "k8s-master-02": "echo '/dev/sdb1 none swap sw 0 0' >>/etc/fstab; "
    "echo '10.208.1.191 k8s-vip' >>/etc/hosts",
    "k8s-master-03": "echo 'blacklist br_netfilter' >/etc/modprobe.d/site.conf; "
    "echo '* hard memlock 64' >/etc/security/limits.d/90-site.conf",
    "k8s-node-01": "echo k8s-node-02 >/etc/hostname; "
    "echo net.ipv4.ip_forward=0 >/etc/sysctl.d/zz-site.conf",
    "k8s-node-02": "systemctl --quiet unmask firewalld; systemctl --quiet enable --now firewalld; "
    "echo 0 >/proc/sys/net/ipv4/ip_forward",
}


# Rows that a lab without a cluster cannot make green are none of the plan's.
ONLY = (
    "--only=HOSTS-VIP,NAME-HOSTNAME,FW-FIREWALLD,SWAP-OFF,SYS-IP-FORWARD,MOD-BR-NETFILTER,"
    "LIM-MEMLOCK"
)
BOARD = "board@example.org"


@dataclass
class SignedSite:
    """A site that requires signed plans, with its own list of who may approve."""

    inventory: Path
    key: Path

    @classmethod
    def made(cls, inventory: Path, folder: Path) -> "SignedSite":
        """Beside a copy of the inventory, in a folder of its own."""
        site = cls(folder / "site.ini", folder / "board")
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(site.key)]
        subprocess.run(command, check=True)
        site.inventory.write_text(f"{inventory.read_text()}\n[all:vars]\nhale_approvals=signed\n")
        site.allow(BOARD)
        return site

    def allow(self, name: str) -> None:
        """Whose key it is."""
        public = self.key.with_name("board.pub").read_text()
        self.inventory.with_name("allowed_signers").write_text(f"{name} {public}")

    def approve(self, saved: Path, *words: str) -> tuple[int, str]:
        """`invoke approve` of a plan: exit status and output."""
        done = subprocess.run(
            [INVOKE, "approve", str(saved), *words],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


def test_ten_faults_at_once_there_and_back(operator: Operator, tmp_path: Path) -> None:
    ready = operator.ready
    pristine = {h.name: ready.listing(h.name) for h in ready.lab.hosts}
    for host, fault in FAULTS.items():
        ready.lab[host].run(fault)
    harmed = {h.name: ready.listing(h.name) for h in ready.lab.hosts}
    saved = tmp_path / "fix.json"
    site = SignedSite.made(ready.inventory, tmp_path)
    status, output = operator.type("fix", ONLY, f"--out={saved}", inventory=site.inventory)
    assert status == 0, output
    assert {h.name: ready.listing(h.name) for h in ready.lab.hosts} == harmed
    digest = plan.load_plan(saved).sha256
    reviewed = saved.with_suffix(".html").read_text()
    assert "Nothing has been changed" in reviewed
    assert digest in reviewed
    approved = ("fix", "--apply", f"--plan={saved}", "--yes")
    for deed, reason in unapproved(site, saved):
        status, output = operator.type(*approved)
        assert (status, reason in output) == (1, True), f"{deed}: {output}"
    assert not list(operator.reports.glob("*-fix"))
    assert site.approve(saved, f"--key={site.key}")[0] == 0
    status, output = site.approve(saved, "--verify")
    assert (status, f"approved: signed by {BOARD} " in output) == (0, True), output
    assert {h.name: ready.listing(h.name) for h in ready.lab.hosts} == harmed
    status, output = operator.type(
        *approved, f"--sha256={digest}",
        "--approved-by=the board", "--ticket=CHG-7", "--window=tonight",
    )  # fmt: skip
    assert status == 0, output
    assert re.search(r"failed or unknown results: \d+ before", output)
    folder = operator.last
    signed = ("approved-plan.json", "approved-plan.json.sig")
    files = ("plan.json", "journal.jsonl", "change.html", "SHA256SUMS", *signed)
    assert {p.name for p in folder.iterdir()} == {"before", "after", *files}
    assert all((folder / n).stat().st_mode & 0o77 == 0 for n in files)
    page = (folder / "change.html").read_text()
    assert re.search(
        r'class="verdict">(\d+) changes made on 5 hosts; \d+ results fixed, none', page
    )
    words = "the board", "CHG-7", "tonight", "whose SHA-256 was named for the run"
    for text in (digest, f"verified: signed by {BOARD}", *words):
        assert text in page
    assert site.approve(folder / "approved-plan.json", "--verify")[0] == 0
    # What was reviewed is what was applied: the same differences and commands.
    diffs = re.compile(r'<pre><span class="file">.*?</pre>|<code class="title">.*?</code>')
    assert diffs.findall(reviewed) == diffs.findall(page) != []
    header = json.loads((folder / "journal.jsonl").read_text().splitlines()[0])
    assert (header["approved_by"], header["ticket"]) == ("the board", "CHG-7")
    status, output = operator.type("fix", ONLY, "--apply", "--yes")
    assert status == 0, output
    assert "Nothing to change." in output
    status, output = operator.type("runs")
    assert status == 0
    assert "finished" in output
    assert "CHG-7" in output
    status, output = operator.type("undo", folder.name, "--yes")
    assert status == 0, output
    assert {h.name: ready.listing(h.name) for h in ready.lab.hosts} == harmed
    undone = (operator.last / "change.html").read_text()
    assert f"Hale undo of {folder.name}" in undone
    assert "no longer passing" in undone
    assert (folder / "change.html").read_text() == page
    status, output = operator.type("undo", operator.last.name, "--yes")
    assert status == 0, f"an undo can be undone: {output}"
    assert not ready.red(ready.rows())
    status, output = operator.type("undo", operator.last.name, "--yes")
    assert status == 0, output
    undo = {
        "k8s-master-01": "sed -i '/ip_forward/d' /etc/sysctl.conf; "
        "echo '10.208.1.190 master.k8s.io k8s-vip' >>/etc/hosts",
        "k8s-master-02": "sed -i '/sdb1/d' /etc/fstab; sed -i '/191 k8s-vip/d' /etc/hosts",
        "k8s-master-03": "rm /etc/modprobe.d/site.conf /etc/security/limits.d/90-site.conf",
        "k8s-node-01": "echo k8s-node-01 >/etc/hostname; rm /etc/sysctl.d/zz-site.conf",
        "k8s-node-02": "systemctl --quiet disable --now firewalld; "
        "systemctl --quiet mask firewalld; echo 1 >/proc/sys/net/ipv4/ip_forward",
    }
    for host, script in undo.items():
        ready.lab[host].run(script)
    assert not ready.red(ready.rows())
    names = {line.split()[0] for line in pristine["k8s-node-01"]}
    assert names == {line.split()[0] for line in ready.listing("k8s-node-01")}


def unapproved(site: SignedSite, saved: Path) -> Iterator[tuple[str, str]]:
    """What makes the plan one that nobody else approved, and why it is refused then."""
    yield "not signed", "requires a signed plan): the plan is not signed"
    signed = saved.with_name(f"{saved.name}.sig")
    raw = saved.read_bytes()
    assert site.approve(saved, f"--key={site.key}")[0] == 0
    made = msgspec.structs.replace(plan.load_plan(saved), author="eve")
    plan.save_plan(plan.with_checksum(made), saved)
    yield "changed since", "is no signature of this plan"
    saved.write_bytes(raw)
    site.allow(f"{provenance.operator()}@example.org")
    yield "signed by its author", "is the plan's author"
    site.allow(BOARD)
    signed.unlink()


HOST = "k8s-node-01"
FORWARD = "--only=SYS-IP-FORWARD"
SYSCTL = "/etc/sysctl.d/zz-site.conf"


@pytest.fixture
def harmed(operator: Operator) -> Iterator[Operator]:
    """One host with a line against forwarding, and a swap line."""
    host = operator.ready.lab[HOST]
    host.run(f"echo net.ipv4.ip_forward=0 >{SYSCTL}; cp -p /etc/fstab /root/fstab")
    host.run("echo '/dev/sdb1 none swap sw 0 0' >>/etc/fstab")
    yield operator
    host.run(f"rm -f {SYSCTL}; cp -p /root/fstab /etc/fstab; systemctl daemon-reload")
    assert not operator.ready.red(operator.ready.rows(HOST))


def content(operator: Operator, path: str) -> str:
    return operator.ready.lab[HOST].run(f"cat {path}").stdout.decode()


def test_an_altered_plan_is_refused(harmed: Operator, tmp_path: Path) -> None:
    saved = tmp_path / "fix.json"
    status, output = harmed.type("fix", FORWARD, f"--hosts={HOST}", f"--out={saved}")
    assert status == 0, output
    saved.write_text(saved.read_text().replace(SYSCTL, "/etc/passwd", 1))
    status, output = harmed.type("fix", "--apply", f"--plan={saved}", "--yes")
    assert status == 1
    assert "the plan was altered since it was made" in output
    assert content(harmed, SYSCTL) == "net.ipv4.ip_forward=0\n"


def test_a_file_edited_after_the_plan_is_refused_and_the_others_are_not(
    harmed: Operator, tmp_path: Path
) -> None:
    saved = tmp_path / "fix.json"
    only = "--only=SYS-IP-FORWARD,SWAP-OFF"
    harmed.type("fix", only, f"--hosts={HOST}", f"--out={saved}")
    harmed.ready.lab[HOST].run(f"echo '# by hand' >>{SYSCTL}")
    status, output = harmed.type("fix", "--apply", f"--plan={saved}", "--yes")
    assert status == 1
    assert f"{SYSCTL} has other bytes" in output
    assert content(harmed, SYSCTL) == "net.ipv4.ip_forward=0\n# by hand\n"
    assert "# commented by Hale: /dev/sdb1" in content(harmed, "/etc/fstab")


def test_a_forged_plan_with_its_right_checksum(harmed: Operator, tmp_path: Path) -> None:
    """It edits the planned bytes in another way, or has a step more than a plan made now."""
    saved = tmp_path / "fix.json"
    harmed.type("fix", "--only=SYS-IP-FORWARD,SWAP-OFF", f"--hosts={HOST}", f"--out={saved}")
    made = plan.load_plan(saved)
    (host,) = made.hosts

    def forge(*steps: Step) -> tuple[int, str]:
        hosts = (msgspec.structs.replace(host, steps=steps),)
        plan.save_plan(plan.with_checksum(msgspec.structs.replace(made, hosts=hosts)), saved)
        return harmed.type("fix", "--apply", f"--plan={saved}", "--yes")

    def evil(step: Step) -> Step:
        if getattr(step.change, "path", "") != SYSCTL:
            return step
        line = AppendLine("kernel.core_pattern = |/home/ops/x")
        return msgspec.structs.replace(
            step, change=FileEdit(SYSCTL, (line,), step.change.reason, step.change.effects)
        )

    status, output = forge(*map(evil, host.steps))
    assert status == 1
    assert f"would edit {SYSCTL} in another way" in output
    assert content(harmed, SYSCTL) == "net.ipv4.ip_forward=0\n"
    assert "# commented by Hale" not in content(harmed, "/etc/fstab")
    mask = SymlinkChange("/etc/systemd/system/site-swap.service", "/dev/null", None, "why")
    steps = sorted((*host.steps, Step(("SWAP-OFF",), mask)), key=lambda s: s.change.apply_order)
    status, output = forge(*steps)
    assert status == 1
    assert "refused: a plan that is made now does not have this step" in output
    assert not harmed.ready.lab[HOST].run(f"ls {mask.path} 2>/dev/null || :").stdout
    assert "# commented by Hale: /dev/sdb1" in content(harmed, "/etc/fstab")


def test_a_forged_journal_of_a_file_that_the_run_did_not_change(harmed: Operator) -> None:
    status, output = harmed.type("fix", FORWARD, f"--hosts={HOST}", "--apply", "--yes")
    assert status == 0, output
    run = harmed.last
    before = content(harmed, SYSCTL)
    text = (run / "journal.jsonl").read_text()
    assert SYSCTL in text
    (run / "journal.jsonl").write_text(text.replace(SYSCTL, "/etc/site.conf"))
    status, output = harmed.type("undo", run.name, "--yes")
    assert status == 1
    assert "it would restore /etc/site.conf on k8s-node-01, which has no record of it" in output
    assert content(harmed, SYSCTL) == before


def test_a_file_edited_before_the_undo_is_put_back_by_force_only(harmed: Operator) -> None:
    status, output = harmed.type("fix", FORWARD, f"--hosts={HOST}", "--apply", "--yes")
    assert status == 0, output
    run = harmed.last.name
    harmed.ready.lab[HOST].run(f"echo '# by hand' >>{SYSCTL}")
    status, output = harmed.type("undo", run, "--yes")
    assert status == 1
    assert "+# by hand" in output
    assert content(harmed, SYSCTL).endswith("# by hand\n")
    status, output = harmed.type("undo", run, "--yes", "--force")
    assert status == 0, output
    assert content(harmed, SYSCTL) == "net.ipv4.ip_forward=0\n"


def test_without_a_yes_nothing_is_changed(harmed: Operator) -> None:
    status, output = harmed.type("fix", FORWARD, f"--hosts={HOST}", "--apply")
    assert status == 1
    assert "pass --yes" in output
    assert content(harmed, SYSCTL) == "net.ipv4.ip_forward=0\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("undo", "no-such-run", "--yes"), "no run 'no-such-run'"),
        (("fix", "--yes"), "require --apply"),
        (("fix", "--apply", "--max-fail=0", "--yes"), "--max-fail is a number of hosts"),
        (("fix", "--apply", "--plan=/dev/null", "--yes"), "not a Hale plan file"),
        (("fix", "--only=SWAP-OF"), "no requirement 'SWAP-OF'"),
    ],
)
def test_wrong_words(operator: Operator, words: tuple[str, ...], message: str) -> None:
    operator.reports.mkdir()
    status, output = operator.type(*words)
    assert status == 1
    assert message in output


def test_two_operators_at_once(harmed: Operator, tmp_path: Path) -> None:
    """While one has the lock, the other changes nothing and says who has it."""
    host = harmed.ready.lab[HOST]
    # The first, which has the lock, does not go on: what saves the originals waits.
    host.run("mkdir -p /var/lib/hale/runs; touch /root/slow; mv /usr/bin/sha256sum /root/sha256sum")
    host.run(
        "printf '#!/bin/sh\\nwhile [ -e /root/slow ]; do sleep 0.1; done\\n"
        'exec /root/sha256sum "$@"\\n\' >/usr/bin/sha256sum; chmod +x /usr/bin/sha256sum'
    )
    first = harmed.start("fix", FORWARD, f"--hosts={HOST}", "--apply", "--yes")
    try:
        until = time.monotonic() + PATIENCE
        while b"operator" not in host.run("cat /var/lib/hale/lock 2>/dev/null || true").stdout:
            assert time.monotonic() < until
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.1)
        other = Operator(harmed.ready, tmp_path / "other")
        words = ("fix", "--only=SWAP-OFF", f"--hosts={HOST}", "--apply", "--yes", "--force-unlock")
        second = other.start(*words)
        output, _ = second.communicate(timeout=PATIENCE)
        assert second.returncode == 1
        assert "is locked by" in output
        assert "--force-unlock does not break a lock whose owner is still connected" in output
        assert "/dev/sdb1 none" in content(harmed, "/etc/fstab").splitlines()[-1]
        assert not list((tmp_path / "other").glob("*/journal.jsonl"))
        first.send_signal(signal.SIGKILL)
        first.communicate()
        killed = harmed.last
        assert "IN PROGRESS" in (killed / "change.html").read_text()
        status, page = harmed.type("report", killed.name, "--format=change")
        assert status == 0
        assert "Interrupted without an end: 0 of" in page
        host.run("rm /root/slow")
        status, output = other.type_until("the lock is stale", *words[:-1])
        assert status == 1
        assert "the lock is stale" in output
        status, output = other.type(*words)
        assert status == 0, output
        assert content(harmed, "/etc/fstab").splitlines()[-1].startswith("# commented by Hale")
    finally:
        first.kill()
        first.wait()
        host.run("rm -f /root/slow; mv /root/sha256sum /usr/bin/sha256sum")
