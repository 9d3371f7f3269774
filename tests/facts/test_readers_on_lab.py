"""The readers against the real ones, on real hosts: what they say must be what happens.

systemd-sysctl and the kernel, systemd-analyze, a power cycle; a login by ssh; kmod; fstab as
systemd-fstab-generator sees it; systemctl. What a host of the lab cannot show (modules and
swap of its own, SELinux) is proven on the virtual machine instead, or not at all here.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from facts import br_netfilter, firewalld, limits, service_limits, swap, sysctl
from facts.parsers import conf_dirs, login_limits, unit_limit_files, unit_limits
from hale import gather
from hale.gather import request
from hale.inventory import ini
from hale.model.evidence import Evidence, HostView, NotApplicable, Unreadable
from hale.model.requirement import Aspect, Case
from hale.standard import loader
from lab.machine import Lab, LabHost

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parent.parent.parent
NAME = "k8s-node-01"


@pytest.fixture
def host(lab: Lab) -> Iterator[LabHost]:
    """A host that is as it was delivered afterwards."""
    yield lab[NAME]
    lab[NAME].reset()


class _Ssh:
    """The plainest transport: the system's ssh, a connection for each question."""

    name = "ssh"

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run_script(self, command: str, timeout: float) -> gather.RawResponse:
        try:
            done = _ssh(self.lab, "root", command, timeout)
        except subprocess.TimeoutExpired as error:  # of a reading of the clock, on a busy machine
            return gather.RawResponse(unreachable=str(error))
        return gather.RawResponse(
            done.stdout, done.stderr, unreachable="" if done.returncode == 0 else "ssh"
        )


def _ssh(
    lab: Lab, user: str, command: str, timeout: float = 30
) -> subprocess.CompletedProcess[bytes]:
    argv = ["ssh", "-F", str(lab.ssh_config), "-l", user, NAME, command]
    return subprocess.run(argv, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)


@cache
def _case(requirement: str, aspect: str) -> Case[Any]:
    plan = ini.load_inventory(ROOT / "inventory.ini")
    found = {r.id: r for r in loader.load_standard(ROOT / "standard").requirements}[requirement]
    on = next(h for h in plan.hosts if h.name == NAME)
    parameters, overrides = loader.parameters_of(found, plan, on)
    return Case(found, Aspect(aspect), on, parameters, overrides, plan)


def _evidence(lab: Lab, *cases: Case[Any]) -> Evidence:
    host = cases[0].host
    assert host
    return gather.gather_host(request.build_request(host, cases), _Ssh(lab), 60)


def _put(host: LabHost, path: str, text: str) -> None:
    folder = path.rpartition("/")[0]
    host.run(f"mkdir -p {folder}; cat >{path}", input=text.encode("latin-1"))


# --- sysctl ---

FORWARD = "/proc/sys/net/ipv4/ip_forward"
KEY = "net.ipv4.ip_forward"
VALUES = (
    "1", "0x1", "010", "08", "1 # x", "1#x", "1x", "", "-1", "+1", '"1"', "1,2", "1 2", "1_0",
    "2147483648", "-2147483648", "00000000000000000000001", "01", "yes", "1\r", "1\v", "\t1\t",
)  # fmt: skip
FILES = (
    *(f"{KEY} = {value}\n" for value in VALUES),
    f"{KEY} = 1\n{KEY} = yes\n",
    f"{KEY} = 1\nnet.ipv4.conf.all.forwarding = 0\n",
    f"{KEY} = 1\n-net.ipv4.conf.all.forwarding=0\n",
    f"{KEY} = 1\n-{KEY}\n",
    f"-{KEY}\n{KEY} = 1\n",
    f"# off\r{KEY} = 3\n",
    f"# Kubernetes\r\n{KEY} = 3\r\n",
    "net.ipv4/ip_forward = 1\n",
    "net/ipv4/ip_forward = 1\n",
    "/net//ipv4/./ip_forward = 1\n",
    "net.ipv4.ip_f* = 1\n",
    "net.*forward = 1\n",
    f"net.ipv4.ip_[f]orward = 1\n-{KEY}\n",
    "net.ipv4.ip_* = 1\nnet.ipv4.ip_f* = 0\nnet.ipv4.ip_* = 1\n",
    f"net.ipv4.conf.*.forwarding = 0\n{KEY} = 1\n",
    f"{KEY} = 1\nnet.ipv4.conf.*.forwarding = 0\n",
    f" - {KEY} = 1\n",
    f"{KEY} 1\n",
    f";{KEY} = 1\n",
    f"\xff{KEY} = 1\n",
)


def test_every_line_means_what_systemd_sysctl_makes_of_it(lab: Lab, host: LabHost) -> None:
    case = _case("SYS-IP-FORWARD", "persisted")
    differ = {}
    for text in FILES:
        _put(host, "/etc/sysctl.d/50-case.conf", text)
        real = host.run(
            f"echo 7 >{FORWARD}; /lib/systemd/systemd-sysctl 2>/dev/null; cat {FORWARD}"
        )
        fact = sysctl.read_persisted(HostView(_evidence(lab, case), "sysctl"), case)
        output = 7 if fact.value is None else fact.value
        if output != int(real.stdout):
            differ[text] = (output, int(real.stdout))
    assert not differ


def test_folders_are_read_in_the_order_of_systemd(lab: Lab, host: LabHost) -> None:
    _put(host, "/etc/sysctl.d/10-a.conf", f"{KEY} = 1\n")
    _put(host, "/etc/sysctl.d/99-zz.conf", "# last\n")
    _put(host, "/usr/local/lib/sysctl.d/60-local.conf", f"{KEY} = 0\n")
    _put(host, "/usr/lib/sysctl.d/10-a.conf", f"{KEY} = 0\n")
    _put(host, "/usr/lib/sysctl.d/70-masked.conf", f"{KEY} = 0\n")
    _put(host, "/run/sysctl.d/65-run.conf", "# /run\n")
    host.run("ln -s /dev/null /etc/sysctl.d/70-masked.conf")
    case = _case("SYS-IP-FORWARD", "persisted")
    readings = HostView(_evidence(lab, case), "sysctl")
    ours = [f.path for f in conf_dirs.effective(readings.files(*sysctl.PATTERNS))]
    printed = host.run("systemd-analyze cat-config sysctl.d").stdout.decode()
    theirs = re.findall(r"^# (/\S+/sysctl\.d/\S+\.conf)$", printed, re.M)
    # cat-config shows a masked file as an empty one
    assert ours == [path for path in theirs if not path.endswith("70-masked.conf")]
    assert (
        str(sysctl.read_persisted(readings, case).sources[0])
        == "/usr/local/lib/sysctl.d/60-local.conf:1"
    )


@pytest.mark.parametrize("value", [0, 1])
def test_a_power_cycle_gives_what_was_read_before_it(lab: Lab, host: LabHost, value: int) -> None:
    cases = _case("SYS-IP-FORWARD", "runtime"), _case("SYS-IP-FORWARD", "persisted")
    _put(host, "/etc/sysctl.d/10-early.conf", f"{KEY} = {1 - value}\n")
    _put(host, "/etc/sysctl.conf", f"{KEY} = {value}\n")  # by its link 99-sysctl.conf
    host.run(f"echo {1 - value} >{FORWARD}")
    before = HostView(_evidence(lab, *cases), "sysctl")
    assert sysctl.read_runtime(before, cases[0]).value == 1 - value
    read_before = sysctl.read_persisted(before, cases[1])
    assert read_before.value == value
    host.power_cycle()
    after = HostView(_evidence(lab, *cases), "sysctl")
    assert sysctl.read_runtime(after, cases[0]).value == value
    assert sysctl.read_persisted(after, cases[1]).sources == read_before.sources


# --- limits ---

# Below what the lab's hosts may have at most: they cannot raise their own hard limits.
LIMITS = (
    "",
    "* - nofile 5000\n",
    "* soft nofile 5000\n* hard nofile 3000\n",
    "* hard nofile 500\n",
    "* soft nofile 7000\nops hard nofile 6000\n",
    "root soft nofile 4000\n",
    "root soft nofile 4000\n* - nofile 3000\n",
    "@root soft nofile 3300\n@ops - nofile 3500\n* - nofile 3600\n",
    ":0 soft nofile 2222\n:1000 - nofile 3333\n",
    "0: soft nofile 2323\n",
    "1000:1999 - nofile 2424\n2000: - nofile 1\n",
    "* soft nofile 100\n* soft nofile 200\n",
    "ops - nofile 2000\n* - nofile 100\n",
    "ops -\n* - nofile 300\n",
    "@ops -\n* - nofile 300\n",
    "* -\n* - nofile 300\n",
    "* - nofile lots\n",
    "* - nofile 120x\n",
    "\t*\t-\tnofile\t5000 # c\r\n",
    "* - NOFILE 5001\n* HARD nofile 4999\n",
    "#* - nofile 300\n%ops - nofile 301\n* both nofile 302\n* nofile 303\n",
    "* soft memlock 64\n* hard memlock 128\n",
    "* - memlock 64\nops soft memlock 32\n",
    "* - nproc 5000\n",
    "* soft nproc 4000 5\nroot soft nproc 3000\n",
)
IDS = {
    (item, who): f"LIM-{'ROOT-' if who == 'root' else ''}{item.upper()}"
    for item in login_limits.SHOWN
    for who in ("ops", "root")
}


@pytest.fixture
def ops(lab: Lab, host: LabHost) -> LabHost:
    """The host, with the lab's key let in as `ops` too."""
    host.run(
        "install -d -o ops -g ops -m 700 /home/ops/.ssh; "
        "install -o ops -g ops -m 600 /root/.ssh/authorized_keys /home/ops/.ssh/authorized_keys"
    )
    return host


def _real(lab: Lab, user: str) -> dict[str, tuple[float, float]]:
    """What a login by ssh really gets."""
    shown = _ssh(lab, user, "cat /proc/self/limits").stdout.decode()
    found = {}
    for item, title in login_limits.SHOWN.items():
        words = next(x for x in shown.splitlines() if x.startswith(title))[len(title) :].split()
        soft, hard = (float("inf") if w == "unlimited" else int(w) for w in words[:2])
        unit = 1024 if item == "memlock" else 1
        found[item] = soft // unit, hard // unit
    return found


def test_limits_are_those_of_a_real_login(lab: Lab, ops: LabHost) -> None:
    differ: list[str] = []
    for text in LIMITS:
        _put(ops, "/etc/security/limits.conf", text)
        _compare(lab, text, differ)
    assert not differ


def test_limits_d_is_read_in_order(lab: Lab, ops: LabHost) -> None:
    _put(ops, "/etc/security/limits.conf", "* - nofile 1000\n")
    _put(ops, "/etc/security/limits.d/Z.conf", "* - nofile 2000\n* - nproc 9000\n")
    _put(ops, "/etc/security/limits.d/a.conf", "* soft nofile 1500\n")
    _put(ops, "/etc/security/limits.d/z.conf.bak", "* - nofile 1\n")
    differ: list[str] = []
    _compare(lab, "limits.d", differ)
    assert not differ


def test_without_an_ordinary_user_no_login_is_tried(lab: Lab, ops: LabHost) -> None:
    ops.run("sed -i '/^ops:/s,[^:]*$,/usr/sbin/nologin,' /etc/passwd")
    case = _case("LIM-NOFILE", "runtime")
    with pytest.raises(NotApplicable, match="no ordinary user has a login shell"):
        limits.read_runtime(HostView(_evidence(lab, case), "limits"), case)
    ops.run("sed -i 's/^passwd:/& sss/' /etc/nsswitch.conf; mkdir /etc/sssd")
    with pytest.raises(NotApplicable):
        limits.read_runtime(HostView(_evidence(lab, case), "limits"), case)
    ops.run("echo '[sssd]' >/etc/sssd/sssd.conf")
    with pytest.raises(Unreadable, match=r"users from sss \(/etc/sssd/sssd.conf\) too"):
        limits.read_runtime(HostView(_evidence(lab, case), "limits"), case)


def test_a_user_of_the_inventory_that_the_host_does_not_know(
    lab: Lab, host: LabHost, tmp_path: Path
) -> None:
    path = tmp_path / "inventory.ini"
    text = (ROOT / "inventory.ini").read_text()
    path.write_text(text.replace("vip_port=16443", "vip_port=16443\nlimits_user=deploy"))
    plan = ini.load_inventory(path)
    on = next(h for h in plan.hosts if h.name == NAME)
    now, at_boot = (
        replace(_case("LIM-NOFILE", aspect), host=on, inventory=plan)
        for aspect in ("runtime", "persisted")
    )

    def view() -> HostView:
        return HostView(_evidence(lab, now, at_boot), "limits")

    found = view()
    for read, case in ((limits.read_runtime, now), (limits.read_persisted, at_boot)):
        with pytest.raises(Unreadable, match=r"limits_user\), does not exist.*such as ops"):
            read(found, case)
    host.run("sed -i '/^ops:/s,[^:]*$,/usr/sbin/nologin,' /etc/passwd")
    found = view()
    with pytest.raises(NotApplicable, match="the user deploy, whom the inventory names"):
        limits.read_runtime(found, now)
    assert limits.read_persisted(found, at_boot).domain == "*"
    host.run("useradd -m -s /bin/bash deploy")
    assert limits.read_runtime(view(), now).user == "deploy"


def test_without_pam_limits_a_login_keeps_sshds_limits(lab: Lab, ops: LabHost) -> None:
    _put(ops, "/etc/security/limits.conf", "* soft nofile 5000\n")
    ops.run("sed -i '/pam_limits/d' /etc/pam.d/sshd")
    differ: list[str] = []
    _compare(lab, "no pam_limits", differ, lines_count=False)
    assert not differ


def test_a_session_leaves_no_file_behind(lab: Lab, ops: LabHost) -> None:
    """Only what sshd and PAM keep of any login: their records in /var/log and /run."""
    cases = [_case(name, "runtime") for name in IDS.values()]
    _evidence(lab, *cases)
    ops.run("touch /mark; sleep 0.1")
    _evidence(lab, *cases)
    changed = ops.run(
        "find / -xdev -newer /mark ! -path '/proc/*' ! -path '/sys/*' ! -path '/run/*' "
        "! -path '/var/log/*' ! -type d"
    ).stdout.decode()
    assert changed == ""


def _compare(lab: Lab, text: str, differ: list[str], lines_count: bool = True) -> None:
    cases = [_case(name, aspect) for name in IDS.values() for aspect in ("runtime", "persisted")]
    readings = HostView(_evidence(lab, *cases), "limits")
    real = {user: _real(lab, user) for user in ("ops", "root")}
    for (item, user), name in IDS.items():
        got = limits.read_runtime(readings, _case(name, "runtime"))
        if (got.soft, got.hard) != real[user][item]:
            differ.append(f"{text!r}: {got.actual}, but really {real[user][item]}")
        lines = limits.read_persisted(readings, _case(name, "persisted"))
        if bool(lines.lost) is (lines_count and "takes" not in lines.lost):
            differ.append(f"{text!r}: {lines.actual}")
        if not lines_count or user != ("root" if lines.domain == "root" else "ops"):
            continue
        for output, is_ in zip((lines.soft, lines.hard), real[user][item], strict=True):
            if lines.domain == "*" and "ops" in text:
                continue  # a line of ops' own that is better than the one for all
            if output is not None and output != is_:
                differ.append(f"{text!r}: {lines.actual}, but really {real[user][item]}")


# --- modules ---

RULES = (
    "blacklist br-netfilter\n",
    "blacklist br_netfilter\r\n",
    "#blacklist br_netfilter\n",
    "\tblacklist\tbr_netfilter extra\n",
    "install br_netfilter /bin/false\n",
    "install br_* \\\n  /bin/true\n",
    "alias br_netfilter off\n",
    "options br_netfilter x=1\n",
    "install bridge /bin/false\n",
)


# A carriage return belongs to the word before it: such a line names another module.
_BLOCKS = re.compile(
    r"^(blacklist br_netfilter|install (br_netfilter|br_\*|bridge)\s+/bin/\S+|"
    r"alias br_netfilter off)\n",
    re.M,
)


def test_rules_of_modprobe_are_those_that_kmod_has_in_force(lab: Lab, host: LabHost) -> None:
    """kmod prints its table, names with `_`; modules themselves cannot be loaded in the lab."""
    case = _case("MOD-BR-NETFILTER", "persisted")
    _put(host, "/etc/modules-load.d/k8s.conf", "br_netfilter\n")
    wrong = {}
    for text in RULES:
        _put(host, "/etc/modprobe.d/case.conf", text)
        table = host.run("modprobe --showconfig", check=False).stdout.decode("latin-1")
        theirs = _BLOCKS.search(table) is not None
        readings = HostView(_evidence(lab, case), "br_netfilter")
        fact = br_netfilter.read_persisted(readings, case)
        if bool(fact.blocked) is not theirs:
            wrong[text] = (fact.actual, theirs)
    assert not wrong


# --- swap ---

FSTAB = r"""UUID=1234-abcd none swap sw 0 0
/swap\040file none swap nofail
LABEL=x none swap noauto 0 0
/dev/sda9 none swap noauto,auto 0 0
""" + (
    " /dev/sdb1\tnone\tswap\tsw\t0\t0\r\n"
    "/cr none swap\r\n"
    "/dev/sdx /data/\\040swap\\040 ext4 defaults 0 0\n"
    "# /dev/no none swap sw 0 0\n"
    "\t# /dev/no none swap sw 0 0\n"
    'PARTLABEL="my swap" none swap sw 0 0\n'
    "/x none SWAP sw 0 0\n"
    "/y none swap sw,noauto # c\n"
)


def test_fstab_is_what_systemd_fstab_generator_sees(lab: Lab, host: LabHost) -> None:
    """In a container it turns nothing on, but its log says what it read.

    It passes over devices where /sys cannot be written, so it gets a /sys that can.
    """
    _put(host, "/etc/fstab", FSTAB)
    log = host.run(
        "mkdir -p /tmp/g; export SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console; "
        "unshare -m sh -c 'mount -t tmpfs none /sys; "
        "/lib/systemd/system-generators/systemd-fstab-generator /tmp/g /tmp/g /tmp/g' 2>&1"
    ).stdout.decode()
    entries = re.findall(r"what=(\S*.*?) where=.*? type=(\S+\s?) ?makefs.*?noauto=(\w+)", log)
    theirs = {
        what for what, kind, noauto in entries if kind.strip(" ") == "swap" and noauto == "no"
    }
    case = _case("SWAP-OFF", "persisted")
    fact = swap.read_persisted(HostView(_evidence(lab, case), "swap"), case)
    ours = {re.search(r"lists (.*) as swap", str(t))[1] for t in fact.enables_swap}  # type: ignore[index]
    assert ours == theirs
    assert len(ours) == 4


# --- firewalld ---

UNIT = """[Unit]
Description=stands for firewalld
[Service]
ExecStart=/usr/sbin/firewalld 1000
[Install]
WantedBy=multi-user.target
Alias=dbus-org.fedoraproject.FirewallD1.service
"""
STATES = (  # commands, and whether it runs, and whether a boot may start it
    ("true", False, False),
    ("systemctl enable firewalld", False, True),
    ("systemctl start firewalld", True, True),
    ("systemctl mask --runtime firewalld", True, True),
    ("systemctl unmask --runtime firewalld; systemctl disable firewalld", True, False),
    ("systemctl mask firewalld", True, False),
    ("systemctl stop firewalld", False, False),
    ("nohup /usr/sbin/firewalld 1000 >/dev/null 2>&1 &", True, False),
    ("kill $(pidof firewalld)", False, False),
    ("systemctl unmask firewalld", False, False),
    ("systemctl add-wants basic.target firewalld", False, True),
)


def test_firewalld_is_as_systemctl_leaves_it(lab: Lab, host: LabHost) -> None:
    cases = _case("FW-FIREWALLD", "runtime"), _case("FW-FIREWALLD", "persisted")
    host.run("cp /bin/sleep /usr/sbin/firewalld")
    _put(host, "/lib/systemd/system/firewalld.service", UNIT)
    host.run("systemctl daemon-reload")
    wrong = []
    for command, runs, starts in STATES:
        host.run(command)
        readings = HostView(_evidence(lab, *cases), "firewalld")
        now, later = (
            firewalld.read_runtime(readings, cases[0]),
            firewalld.read_persisted(readings, cases[1]),
        )
        if now.running is not runs or bool(later.start_triggers) is not starts:
            wrong.append(f"{shlex.quote(command)}: {now.actual}; {later.actual}")
    assert not wrong


# --- limits of services ---

# Behind `[Service]`, in a drop-in; the unit itself says nothing.
SETTINGS = (
    "", "LimitNOFILE=77", "LimitNOFILE=", "LimitNOFILE=0", "LimitNOFILE=5:6", "LimitNOFILE=6:5",
    "LimitNOFILE=5:", "LimitNOFILE=:5", "LimitNOFILE=5: 6", "LimitNOFILE=5 :6", "LimitNOFILE=5:6:7",
    "LimitNOFILE=infinity", "LimitNOFILE=5:infinity", "LimitNOFILE=Infinity", "LimitNOFILE=64K",
    "LimitNOFILE=unlimited", "LimitNOFILE=010", "LimitNOFILE=08", "LimitNOFILE=0x1F",
    "LimitNOFILE=0b11", "LimitNOFILE=0o17", "LimitNOFILE=+5", "LimitNOFILE=-5", "LimitNOFILE=-0",
    "LimitNOFILE=18446744073709551615", "LimitNOFILE=18446744073709551614", 'LimitNOFILE="65"',
    "LimitNOFILE=65 # c", "LimitNOFILE = \t65\t", "limitnofile=65", "LimitNOFILE=1_0",
    "LimitNOFILE=77\nLimitNOFILE=", "LimitNOFILE=77\nLimitNOFILE=x", "LimitNOFILE=6\\5",
    "LimitNOFILE=65\\:66", "LimitNOFILE=1.5", "#c\\\nLimitNOFILE=65", "LimitNOFILE=\\\n65",
    "LimitNOFILE=\\\n# c\n65", "LimitNOFILE=\\\n  ;c \\\n 67", "LimitNOFILE=\\\n\n65",
    "LimitNOFILE=6\\\n5", "LimitNOFILE=65\\", "A=\\\\\nLimitNOFILE=65", "A=\\\nLimitNOFILE=65",
    "[Unit]\nLimitNOFILE=65", "[service]\nLimitNOFILE=65", "LimitNOFILE=64\n[Foo\n[Service]\nA=1",
    "[Foo\n[Service]\nLimitNOFILE=65", "[X-a]\nLimitNOFILE=66\n [Service] \nLimitNOFILE=65",
    "garbage\nLimitNOFILE=65", "=x\nLimitNOFILE=65", "LimitNOFILE=64\rLimitNOFILE=65",
    "LimitNOFILE=65\r", "A=\\\r\nLimitNOFILE=65", "LimitNOFILE=65\f", "LimitNOFILE=65\v",
    "# \xe9\nLimitNOFILE=65", "LimitNOFILE=64\nA=\xe9",
    "LimitMEMLOCK=64", "LimitMEMLOCK=64K", "LimitMEMLOCK=64k", "LimitMEMLOCK=64 K",
    "LimitMEMLOCK=1G500M", "LimitMEMLOCK=1.5K", "LimitMEMLOCK=1.K", "LimitMEMLOCK=1M:2M",
    "LimitMEMLOCK=2M:1M", "LimitMEMLOCK=infinity", "LimitMEMLOCK=1M 5K", "LimitMEMLOCK=5K 1M",
    "LimitMEMLOCK=64KB", "LimitMEMLOCK=64B", "LimitMEMLOCK=64Ki", "LimitMEMLOCK=1K1K",
    "LimitMEMLOCK=-1", "LimitMEMLOCK=+5", "LimitMEMLOCK=010", "LimitMEMLOCK=0x10",
    "LimitMEMLOCK=.5K", "LimitMEMLOCK=1P", "LimitMEMLOCK=64 :128", "LimitMEMLOCK=64K :128K",
    "LimitNPROC=500", "LimitNPROC=500:infinity", "LimitNPROC=1K",
)  # fmt: skip
SLEEPER = "[Service]\nExecStart=/bin/sleep infinity\n"
ITEMS: tuple[unit_limits.Item, ...] = ("nofile", "nproc", "memlock")


def _of_unit(unit: str, item: unit_limits.Item, aspect: str) -> Case[Any]:
    case = _case(f"SVC-KUBELET-{item.upper()}", aspect)
    return replace(case, parameters=replace(case.parameters, unit=unit))


def _loaded(host: LabHost, unit: str) -> dict[str, tuple[str, str]]:
    """Soft and hard limits as systemd has loaded them."""
    shown = host.run(f"systemctl show {unit}").stdout.decode("latin-1")
    output = dict(line.partition("=")[::2] for line in shown.splitlines())
    names = {item: f"Limit{item.upper()}" for item in ITEMS}
    return {item: (output[f"{name}Soft"], output[name]) for item, name in names.items()}


def _in_systemds_words(item: str, limit: unit_limits.Limit) -> tuple[str, str]:
    unit = 1024 if item == "memlock" else 1
    soft, hard = ("infinity" if v == inf else str(int(v * unit)) for v in (limit.soft, limit.hard))
    return soft, hard


def _limits_of(
    lab: Lab, units: Sequence[str], *items: unit_limits.Item
) -> list[service_limits.ServiceLimitsPersisted]:
    cases = [_of_unit(unit, item, "persisted") for unit in units for item in items]
    readings = HostView(_evidence(lab, *cases), "service_limits")
    return [service_limits.read_persisted(readings, case) for case in cases]


def test_every_line_of_a_service_means_what_systemd_makes_of_it(lab: Lab, host: LabHost) -> None:
    units = {f"case{n}.service": text for n, text in enumerate(SETTINGS)}
    for unit, text in units.items():
        _put(host, f"/etc/systemd/system/{unit}", SLEEPER)
        _put(host, f"/etc/systemd/system/{unit}.d/a.conf", f"[Service]\n{text}\n")
    host.run("systemctl daemon-reload")
    differ = []
    names, some = list(units), 20  # at once, not to ask too much of one script
    for at in range(0, len(names), some):
        for fact in _limits_of(lab, names[at : at + some], *ITEMS):
            output = _in_systemds_words(fact.item, fact.given)
            real = _loaded(host, fact.unit)[fact.item]
            if output != real:
                differ.append(f"{units[fact.unit]!r}: {output}, but really {real}")
    assert not differ


def test_units_and_drop_ins_are_read_in_the_order_of_systemd(lab: Lab, host: LabHost) -> None:
    """Every file sets another number, which tells the one that counts; it goes, and so on."""
    unit = "a-b.service"
    folders = [f for f in unit_limit_files.FOLDERS if not f.startswith(("/run/", "/lib/"))]
    files = [f"{f}/{unit}" for f in folders[1:]]
    files += [
        f"{folder}/{kind}.d/{name}.conf"
        for folder in folders
        for kind in (unit, "a-.service", "service")
        for name in (("k", "m") if folder == folders[1] else ("m",))
    ]
    for number, path in enumerate(files, 1000):
        text = SLEEPER if path.endswith(unit) else "[Service]\n"
        _put(host, path, f"{text}LimitNOFILE={number}\n")
    order: list[str] = []
    while order[-1:] != [files[0]]:
        host.run("systemctl daemon-reload")
        (fact,) = _limits_of(lab, [unit], "nofile")
        (winner,) = [s.path for s in fact.sources if s.wins]
        order.append(winner)
        assert _loaded(host, unit)["nofile"][0] == f"{fact.soft:.0f}", f"after {order}"
        host.run(f"rm {winner}")
    lower = len(folders) - 2  # one folder has no unit, and the first of the others counts
    assert len(order) == len(files) - lower, "the units of lower priority never count"


def test_a_start_after_a_power_cycle_gets_what_was_read_before_it(lab: Lab, host: LabHost) -> None:
    unit = "kubelet.service"
    _put(host, f"/usr/lib/systemd/system/{unit}", SLEEPER)
    _put(host, "/etc/systemd/system.conf.d/a.conf", "[Manager]\nDefaultLimitNPROC=500:600\n")
    _put(host, f"/etc/systemd/system/{unit}.d/a.conf", "[Service]\nLimitNOFILE=3000:infinity\n")
    _put(host, f"/run/systemd/system/{unit}.d/z.conf", "[Service]\nLimitNOFILE=2000\n")
    host.run(f"systemctl daemon-reload; systemctl start {unit}")
    cases = [_of_unit(unit, item, aspect) for item in ITEMS for aspect in ("runtime", "persisted")]
    before = HostView(_evidence(lab, *cases), "service_limits")
    read_before = [service_limits.read_persisted(before, case) for case in cases[1::2]]
    assert service_limits.read_runtime(before, cases[0]).soft == 2000
    assert "nofile soft 2000, hard 2000" in read_before[0].differs
    host.power_cycle()
    host.run(f"systemctl start {unit}")
    after = HostView(_evidence(lab, *cases), "service_limits")
    got = [service_limits.read_runtime(after, case) for case in cases[::2]]
    assert [(g.soft, g.hard) for g in got] == [(t.soft, t.hard) for t in read_before]
    assert [g.soft for g in got][:2] == [3000, 500]
