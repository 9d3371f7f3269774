"""Every command logs in as the audit does: sudo with a password, ssh's configuration, the timeout.

One host of the lab is the site's only one, and its inventory names a user whose sudo asks for a
password, and nothing else of how the host is reached.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hale.apply import lock
from hale.apply.lock import Owner
from hale.ssh import Session
from lab.machine import Lab
from tests.terminal import Process, type_password

from .lab_users import HOST, PASSWORD, reach

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]
INVOKE = str(Path(sys.executable).parent / "invoke")
ADMIN = "/etc/kubernetes/admin.conf"
# A requirement that this test makes fail, in the file that the remedy edits.
SETTING, FILE = "SYS-IP-FORWARD", "/etc/sysctl.d/zz-hale-test.conf"


@dataclass
class Site:
    """The site's inventory, and what its commands left anywhere that others can read."""

    lab: Lab
    folder: Path
    exposed: set[str] = field(default_factory=set)

    @property
    def inventory(self) -> Path:
        return self.folder / "site.ini"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"

    def type(self, *words: str, password: str = PASSWORD) -> tuple[int, str]:
        """Type a command and, once, the password: exit status and output.

        No command leaves the password anywhere. This is looked for here, and not in a test of its
        own after all others: with several workers that one may be alone on its worker.
        """
        named = [] if words[0] == "undo" else [f"--inventory={self.inventory}"]
        saved = [] if words[0] == "kubeconfig" else [f"--reports={self.reports}"]
        login = ["--ask-become-pass", f"--ssh-config={self.lab.ssh_config}", "--connect-timeout=59"]
        lookers: list[threading.Thread] = []

        def began(process: Process) -> None:
            lookers.append(threading.Thread(target=self._look, args=(process,)))
            lookers[0].start()

        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        command = [INVOKE, *words, *named, *saved, *login]
        done = type_password(command, password, environment, 600, began)
        lookers[0].join()
        assert not self.exposed, "processes showed the password"
        assert not [str(p) for p in self.saved if PASSWORD.encode() in p.read_bytes()]
        return done

    def _look(self, process: "subprocess.Popen[str]") -> None:
        """Look at all processes, those of the host too: it shares this machine's kernel."""
        while process.poll() is None:
            for file in (
                *Path("/proc").glob("[0-9]*/cmdline"),
                *Path("/proc").glob("[0-9]*/environ"),
            ):
                try:
                    if PASSWORD.encode() in file.read_bytes():
                        self.exposed.add(str(file))
                except OSError:
                    continue  # it has ended

    @property
    def saved(self) -> list[Path]:
        """The files of the reports, and those that Hale keeps on the host."""
        kept = self.lab[HOST].root / "var/lib/hale"
        return [p for top in (self.reports, kept) for p in top.rglob("*") if p.is_file()]

    @property
    def last_run(self) -> str:
        return max(p.parent.name for p in self.reports.glob("*-fix/journal.jsonl"))


@pytest.fixture(scope="module")
def site(users: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(users, tmp_path_factory.mktemp("site"))
    (made.folder / "none.yaml").write_text(
        "kind: Namespace\napiVersion: v1\nmetadata: {name: none}\n"
    )
    made.inventory.write_text(
        f"[masters]\n{HOST} ansible_host={users[HOST].address}\n\n[workers]\n\n"
        "[kubernetes:children]\nmasters\nworkers\n\n"
        "[kubernetes:vars]\nansible_user=hale-asked\nhale_environment=lab\n"
        "vip=10.208.1.190\nvip_port=16443\nvip_names=apiserver.cluster.local\n"
        "endpoint_kind=external\ncluster_name=one\nkubernetes_version=1.34.4\n"
        "pod_cidr=10.244.0.0/16\nservice_cidr=10.96.0.0/12\n"
        "image_repository=registry.example\nnetwork_manifest=none.yaml\n"
    )
    host = users[HOST]
    host.run(
        f"test ! -e {ADMIN} && mkdir -p /etc/kubernetes && echo 'net.ipv4.ip_forward = 0' >{FILE}"
    )
    yield made
    host.run(f"rm -f {FILE}")


def test_fix(site: Site) -> None:
    status, output = site.type("fix", "--only", SETTING)
    assert status == 0, output
    assert FILE in output


def test_fix_apply_and_undo(site: Site) -> None:
    site.lab[HOST].run(f"echo 'net.ipv4.ip_forward = 0' >{FILE}")  # a first try may have fixed it
    status, output = site.type("fix", "--only", SETTING, "--apply", "--yes")
    assert status == 0, output
    assert "0 after" in output
    reports, host = site.reports, site.lab[HOST].root
    assert {top for top in (reports, host) for p in site.saved if p.is_relative_to(top)} == {
        reports,
        host,
    }  # both were looked through for the password
    status, output = site.type("undo", site.last_run, "--yes")
    assert status == 0, output
    assert "net.ipv4.ip_forward = 0" in site.lab[HOST].run(f"cat {FILE}").stdout.decode()


def test_install(site: Site) -> None:
    status, output = site.type("install", "--plan")
    assert status == 0, output
    assert "Nothing was changed." in output


def test_reset(site: Site) -> None:
    """It reads the lock of another run, which only root can, and goes no further."""
    session = Session(reach(site.lab.ssh_config))
    other = Owner("somebody", "elsewhere", "another-run", "2026-01-01T00:00:00Z")
    lock.acquire(session, other, stale=False)
    try:
        status, output = site.type("reset", "--cluster-name=one", "--yes")
    finally:
        lock.release(session, other)
        session.close()
    assert status == 1
    assert "another-run" in output


def test_drill(site: Site) -> None:
    """The host has no cluster, and its answers say so."""
    status, output = site.type("drill", "worker", "--yes")
    assert status == 1
    assert "no fault was injected" in output
    assert "password" not in output


def test_kubeconfig(site: Site) -> None:
    site.lab[HOST].run(f"umask 077; echo of-{HOST} >{ADMIN}")
    try:
        status, output = site.type("kubeconfig", f"--out={site.folder}/admin.conf")
    finally:
        site.lab[HOST].run(f"rm {ADMIN}")  # for the others the host has no cluster
    assert status == 0, output
    assert (site.folder / "admin.conf").read_text() == f"of-{HOST}\n"


def test_a_wrong_password_is_tried_once(site: Site) -> None:
    status, output = site.type("kubeconfig", f"--out={site.folder}/none", password="not-this-one")
    assert status == 1
    assert "password is wrong" in output


def test_without_a_terminal_there_is_no_password() -> None:
    done = subprocess.run(
        [INVOKE, "fix", "--ask-become-pass"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        check=False,
    )
    assert done.returncode == 1
    assert "--ask-become-pass needs a terminal to ask on" in done.stderr
