"""The whole audit against hosts that misbehave, on real ones: all of them in one run.

Each is an alias in an ssh_config for a user of one of the lab's hosts, whose login shell or
tools are of a bad sort. What must hold: its rows are UNKNOWN with the reason, the others' rows
are what they were, no row is PASS that root would not see as PASS, and each was dialled once.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.machine import Lab, LabHost
from tests.engine.pytest_cli import Done, command, environment, typed
from tests.terminal import type_password

pytestmark = pytest.mark.lab

# Rows that go by the name or address of the plan, which an alias does not have.
BY_NAME = ("NAME-HOSTNAME", "NODES-ADDRESS")
PASSWORD = "corRect-h0rse"
# Not the VIP: nobody answers there, and each run would wait for it.
MOST = ("-k", "not apiserver_vip")
SOME = ("-k", "sysctl or swap or firewalld or limits")

# Seconds for a login, and for all answers of a host, while twenty begin at once; a second try of a
# test gets the same run. The host that hangs costs them.
PATIENCE = 45

# A user whose login shell puts a tool of a bad sort in front of the host's.
TOOLS = {
    "endless": ("base64", 'case "$1" in -d) exec /usr/bin/base64 -d;; esac; exec cat /dev/zero'),
    "hanging": ("find", "exec sleep 600"),
    "cut-off": (
        "base64",
        'case "$1" in -d) exec /usr/bin/base64 -d;; esac; /usr/bin/base64 | head -c 500; kill -9 0',
    ),
    "other-nonce": (
        "gzip",
        'case "$1" in -d) exec /usr/bin/gzip -d;; esac; cat >/dev/null\n'
        "printf '%s\\n' 11111111-1111-1111-1111-111111111111 "
        "'22222222-2222-2222-2222-222222222222 Z 1.0' | /usr/bin/gzip -1c",
    ),
    "old-find": ("find", 'echo "find: unrecognized: -printf" >&2; exit 1'),
    "no-grep": ("grep", "exit 127"),
}
REASONS = {
    "endless": "printed more than 64 MiB",
    "hanging": f"did not finish answering within {PATIENCE} s",
    "cut-off": "",
    "other-nonce": "the host's answer is truncated",
    "nologin": "logged in, but the login shell ended at once",
    "stuck-shell": "logged in, but the shell did not start",
    "asked-twice": "sudo to root refused: sudo: a password is required",
    "other-key": "The host key differs from the one in known_hosts",
    "unknown-key": "No key of this host is trusted yet",
    "no-such-user": "Permission denied",
    "off": "",
}


@dataclass
class Site:
    """The aliases, and what a run with them has come to."""

    folder: Path
    lab: Lab
    aliases: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    logins: Counter[str] = field(default_factory=Counter)  # of each user of the node, in `after`
    dials: Counter[str] = field(default_factory=Counter)  # of each alias, in `after`

    def alias(self, name: str, host: LabHost, user: str, *lines: str, variables: str = "") -> None:
        self.aliases[name] = [f"HostName {host.address}", f"User {user}", *lines]
        self.variables[name] = variables

    @property
    def dialled(self) -> Counter[str]:
        return Counter((self.folder / "dialled").read_text().split())

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.ini"

    def write(self) -> None:
        enter = shlex.join(self.lab.operator_argv(["nc.openbsd", "-F"]))
        dial = self.folder / "dial.sh"
        dial.write_text(f'#!/bin/sh\necho "$1" >>{self.folder}/dialled\nexec {enter} "$2" "$3"\n')
        dial.chmod(0o755)
        config = []
        for name, lines in self.aliases.items():
            config += [f"Host {name}", f"  ProxyCommand {dial} {name} %h %p"]
            config += [f"  {line}" for line in lines]
        config += ["Match all", f"  Include {self.lab.ssh_config}"]
        (self.folder / "ssh_config").write_text("\n".join(config) + "\n")
        hosts = "\n".join(f"{name} {self.variables[name]}" for name in self.aliases)
        self.inventory.write_text(
            f"[masters]\n{hosts}\n[all:vars]\nvip=10.208.1.190\nvip_port=16443\n"
            "vip_names='master.k8s.io k8s-vip'\nhale_site=lab\nlimits_user=ops\n"
            f"ansible_ssh_common_args='-F {self.folder}/ssh_config'\n"
            "hale_os_release__accepted='[\"Debian GNU/Linux 12\"]'\n"
        )


def user(host: LabHost, name: str, shell: str = "/bin/bash", sudoers: str = "") -> None:
    """An ordinary user who may log in with the lab's key."""
    home = f"/home/{name}"
    sudo = f"echo {shlex.quote(f'{name} {sudoers}')} >/etc/sudoers.d/{name}" if sudoers else ":"
    host.run(
        f"useradd -m -s {shell} {name} && echo {name}:{PASSWORD} | chpasswd && "
        f"install -d -o {name} -m 700 {home}/.ssh && "
        f"install -o {name} -m 600 /root/.ssh/authorized_keys {home}/.ssh/ && {sudo}"
    )


def tools(host: LabHost, name: str, program: str, script: str) -> None:
    """A user whose login shell finds this program first."""
    for path, text in (
        (f"/opt/{name}/{program}", f"#!/bin/sh\n{script}\n"),
        (
            f"/opt/{name}/shell",
            f'#!/bin/sh\nPATH=/opt/{name}:$PATH\nexport PATH\nexec /bin/sh "$@"\n',
        ),
    ):
        host.run(f"mkdir -p /opt/{name}; cat >{path}; chmod 755 {path}", input=text.encode())
    user(host, name, f"/opt/{name}/shell")


def logged_in(host: LabHost) -> Counter[str]:
    """How often each user has come in, by the host's own account."""
    log = host.run("journalctl -o cat _COMM=sshd").stdout.decode()
    return Counter(re.findall(r"^Accepted publickey for (\S+) from", log, re.M))


@pytest.fixture(scope="module")
def site(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"), lab)
    node, other, spoilt = lab["k8s-node-01"], lab["k8s-master-02"], lab["k8s-master-03"]
    # All of them log in at once; sshd would drop some of them by chance (sshd_config(5)).
    node.run("echo MaxStartups 100 >/etc/ssh/sshd_config.d/hale.conf; systemctl restart ssh")
    # Who comes through sudo has this limit by then, and root may not be able to raise it again.
    node.run("echo '* - nproc 60000' >/etc/security/limits.d/site.conf")
    site.alias("root", node, "root")
    for name, (program, script) in TOOLS.items():
        tools(node, name, program, script)
        site.alias(name, node, name)
    user(node, "nologin", "/usr/sbin/nologin")
    site.alias("nologin", node, "nologin")
    node.run("printf '#!/bin/sh\\nexec sleep 600\\n' >/opt/stuck; chmod 755 /opt/stuck")
    user(node, "stuck", "/opt/stuck")
    site.alias("stuck-shell", node, "stuck")
    user(node, "plain")
    site.alias("plain", node, "plain")
    user(node, "sudoer", sudoers="ALL=(ALL) NOPASSWD: ALL")
    site.alias("sudoer", node, "sudoer", variables="ansible_become=true")
    user(node, "asked", sudoers="ALL=(ALL) ALL")
    site.alias("asked-twice", node, "asked", variables="ansible_become=yes")
    site.alias("no-such-user", node, "nobody-of-that-name")
    user(node, "fish", "/usr/bin/fish", "ALL=(ALL) NOPASSWD: ALL")
    site.alias("fish", node, "fish", variables="ansible_become=true")
    wrong = site.folder / "wrong_hosts"
    key = (lab.known_hosts.read_text().split("\n"))[-2].split()[1:3]
    first = next(line.split()[1:3] for line in lab.known_hosts.read_text().splitlines())
    wrong.write_text(f"{node.address} {' '.join(key if key != first else first)}\n")
    site.alias("other-key", node, "root", f"UserKnownHostsFile {wrong}")
    site.alias("unknown-key", node, "root", "UserKnownHostsFile /dev/null")
    site.alias("tmp", other, "root")
    site.alias("garbage", spoilt, "root")
    lab["k8s-node-02"].power_off()
    site.alias("off", lab["k8s-node-02"], "root")
    site.write()
    yield site
    for host in (node, other, spoilt):
        host.reset()
    lab["k8s-node-02"].power_on()


@pytest.fixture(scope="module")
def before(site: Site) -> Done:
    """The hosts that are spoilt later, as they were."""
    words = ("--hosts=root,tmp,garbage", f"--inventory={site.inventory}")
    return typed(site.folder / "before", *words, *MOST, f"--connect-timeout={PATIENCE}")


@pytest.fixture(scope="module")
def after(site: Site, before: Done) -> Done:
    """The run with all of them."""
    (site.folder / "dialled").unlink()
    other = site.lab["k8s-master-02"]
    other.run("mount -t tmpfs -o ro,size=4k none /tmp; ! touch /tmp/x; rm /usr/bin/python3*")
    spoilt = site.lab["k8s-master-03"]
    spoilt.run("head -c 3000 /dev/urandom >/opt/garbage; printf '\\0\\377\\n' >>/opt/garbage")
    for path in ("/proc/stat", "/proc/swaps", "/proc/sys/net/ipv4/ip_forward", "/etc/os-release"):
        spoilt.run(f"mount --bind /opt/garbage $(readlink -f {path})")
    words = ("--hosts=all", f"--inventory={site.inventory}", f"--gather-timeout={PATIENCE}", *MOST)
    known = logged_in(site.lab["k8s-node-01"])
    # No shorter for the logins, of which twenty begin at once: a second try gets the same run.
    done = typed(site.folder / "after", *words, f"--connect-timeout={PATIENCE}", timeout=400)
    # Later tests log in as well.
    site.dials, site.logins = site.dialled, logged_in(site.lab["k8s-node-01"]) - known
    return done


def without_names(done: Done, host: str) -> dict[str, str]:
    return {
        row: v for row, v in done.of(host).items() if not row.startswith(BY_NAME) and v != "N-A"
    }


def test_the_run_ends_in_good_order(after: Done) -> None:
    assert after.code == 1
    assert "INTERNALERROR" not in after.output
    assert "Traceback" not in after.output
    assert after.results.run.state == "finished"


@pytest.mark.usefixtures("after")
def test_each_is_dialled_once(site: Site) -> None:
    assert site.dials == dict.fromkeys(site.aliases, 1)
    for name in [*TOOLS, "nologin", "stuck", "plain", "asked"]:
        # By the host's own account, too: each of these has a user of its own.
        assert site.logins[name] == 1, name


@pytest.mark.parametrize("name", REASONS)
def test_no_answer_is_unknown_with_the_reason(after: Done, name: str) -> None:
    rows = [r for r in after.results.results if r.host == name and r.verdict != "N-A"]
    assert rows
    assert {str(r.verdict) for r in rows} == {"UNKNOWN"}
    for row in rows:
        assert REASONS[name] in row.actual
    assert len({row.actual for row in rows}) == 1


def test_the_others_are_what_they_were(before: Done, after: Done) -> None:
    assert after.of("root") == before.of("root")
    assert {"PASS", "FAIL"} <= set(before.of("root").values())


def test_a_full_and_read_only_tmp_and_no_python_change_nothing(before: Done, after: Done) -> None:
    assert after.of("tmp") == before.of("tmp")


@pytest.mark.parametrize("name", ["sudoer", "fish"])
def test_through_sudo_and_any_shell_it_is_the_same(after: Done, name: str) -> None:
    assert without_names(after, name) == without_names(after, "root")


def test_without_root_nothing_is_pass_that_root_does_not_see(after: Done) -> None:
    plain, root = without_names(after, "plain"), without_names(after, "root")
    assert plain.keys() == root.keys()
    assert {(v, root[k]) for k, v in plain.items()} <= {
        ("PASS", "PASS"), ("FAIL", "FAIL"), ("UNKNOWN", "PASS"), ("UNKNOWN", "FAIL")
    }  # fmt: skip
    assert plain["SYS-IP-FORWARD runtime"] == root["SYS-IP-FORWARD runtime"]
    assert "UNKNOWN" in plain.values()


@pytest.mark.parametrize("name", ["old-find", "no-grep"])
def test_a_tool_that_cannot_makes_files_unknown(after: Done, name: str) -> None:
    verdicts, root = without_names(after, name), without_names(after, "root")
    for row, verdict in verdicts.items():
        assert verdict in ("UNKNOWN", root[row]), row
    assert verdicts["SWAP-OFF persisted"] == verdicts["SYS-IP-FORWARD runtime"] == "UNKNOWN"


def test_garbage_in_proc_is_unknown(before: Done, after: Done) -> None:
    was, now = without_names(before, "garbage"), without_names(after, "garbage")
    assert now["SYS-IP-FORWARD runtime"] == "UNKNOWN"
    assert now["SWAP-OFF runtime"] in ("UNKNOWN", "FAIL")
    for row, verdict in now.items():
        assert verdict in ("UNKNOWN", "FAIL", was[row]), row
    (host,) = (h for h in after.results.hosts if h.name == "garbage")
    assert not host.down


# --- sudo with a password ---


def with_password(site: Site, reports: Path, password: str, *words: str) -> Done:
    words = ("--ask-become-pass", f"--inventory={site.inventory}", *words)
    return Done(*type_password(command(reports, *words), password, environment(), 120), reports)


def test_asked_for_the_password(site: Site, before: Done, tmp_path: Path) -> None:
    """With xdist, so that the workers have it too."""
    done = with_password(site, tmp_path / "r", PASSWORD, "--hosts=asked-twice", *SOME, "-n2")
    assert done.of("asked-twice").items() <= before.of("root").items()
    assert done.folder
    for path in done.folder.iterdir():
        assert PASSWORD.encode() not in path.read_bytes(), path.name
    assert PASSWORD not in done.output


def test_without_a_terminal_no_confirmation_is_possible(site: Site, tmp_path: Path) -> None:
    words = ("--ask-become-pass", "--hosts=root", f"--inventory={site.inventory}")
    done = typed(tmp_path / "r", *words)
    assert done.code == 4
    assert "--ask-become-pass needs a terminal to ask on" in done.output


def test_a_wrong_password_is_tried_once(site: Site, tmp_path: Path) -> None:
    words = ("--hosts=asked-twice", "-k", "sysctl")
    done = with_password(site, tmp_path / "r", "not-this-one", *words)
    assert set(done.of("asked-twice").values()) == {"UNKNOWN"}
    assert "incorrect password" in done.output


def test_sudo_on_the_command_line(site: Site, before: Done, tmp_path: Path) -> None:
    kept, site.variables["sudoer"] = site.variables["sudoer"], ""
    site.write()
    words = ("--hosts=sudoer", "--sudo", f"--inventory={site.inventory}", *SOME)
    try:
        done = typed(tmp_path, *words)
    finally:
        site.variables["sudoer"] = kept
        site.write()
    assert done.of("sudoer").items() <= before.of("root").items()


# --- testinfra's own ways to a host ---


def test_stock_transports_beside_inventory_names(site: Site, before: Done, tmp_path: Path) -> None:
    config = site.folder / "ssh_config"
    without_fd = site.folder / "paramiko_config"
    node = site.lab["k8s-master-02"]
    enter = shlex.join(site.lab.operator_argv(["nc.openbsd"]))
    without_fd.write_text(
        f"Host tmp\n  HostName {node.address}\n  User root\n  IdentityFile "
        f"{site.lab.state}/id_ed25519\n"
        f"  ProxyCommand {enter} %h %p\n"
    )
    hosts = f"garbage,ssh://root?ssh_config={config},paramiko://tmp?ssh_config={without_fd}"
    only = ("-k", "sysctl or swap or firewalld or hosts_file")
    done = typed(tmp_path, f"--hosts={hosts}", f"--inventory={site.inventory}", *only)
    transports = {h.name: h.transport for h in done.results.hosts}
    assert transports == {"root": "ssh", "tmp": "paramiko", "garbage": "hale"}
    assert done.of("root").items() <= before.of("root").items()
    assert done.of("tmp").items() <= before.of("tmp").items()


def test_a_dead_host_over_stock_ssh_says_why(site: Site, tmp_path: Path) -> None:
    config = site.folder / "ssh_config"
    words = (f"--hosts=ssh://no-such-user?ssh_config={config}", "-k", "sysctl")
    done = typed(tmp_path, *words, f"--inventory={site.inventory}")
    (why,) = {r.actual for r in done.results.results}
    assert "Permission denied" in why
    assert len(why) < 200


def test_a_sites_own_check_runs_over_the_fast_connection(site: Site, tmp_path: Path) -> None:
    (tmp_path / "test_live.py").write_text(
        "def test_live(host):\n"
        "    assert host.backend.get_connection_type() == 'hale'\n"
        "    assert host.user().name == 'root'\n"
        "    assert host.file('/etc/hostname').exists\n"
    )
    (site.folder / "dialled").unlink(missing_ok=True)
    words = (str(tmp_path / "test_live.py"), "checks/test_swap.py", "--rootdir=.")
    done = typed(
        tmp_path / "r", "--hosts=root,sudoer", "--sudo", *words, f"--inventory={site.inventory}"
    )
    assert "2 failed" not in done.output
    assert site.dialled == {"root": 1, "sudoer": 1}
    assert "test_live" not in [line for line in done.output.splitlines() if "FAIL" in line]
