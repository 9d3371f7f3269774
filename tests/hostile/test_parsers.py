"""Answers of a host that lies, judged with all rows: bounded in memory and in time, and UNKNOWN.

Each case runs in a process of its own, whose memory and processor time the kernel accounts for
(getrusage(2)). Beside the host that lies there is an honest one, whose rows must stay.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hale.audit.audit import Audit
from hale.gather import RawResponse
from hale.inventory import ini
from hale.inventory.selection import SelectedHost, select_hosts
from hale.model import reading_time
from hale.model.budgets import READING_SECONDS
from hale.paths import ROOT
from hale.standard import loader
from tests.hostile.answers import answer, frame, packed

MEMORY = 200 << 20  # bytes that one host may take
SECONDS = 25.0  # of processor time, most of it for the time limit of a reader
HONEST = {
    "/proc/sys/net/ipv4/ip_forward": b"1\n",
    "/etc/sysctl.d/k8s.conf": b"net.ipv4.ip_forward = 1\n",
    "/lib/systemd/system/systemd-sysctl.service": b"[Service]\nExecStart=/lib/systemd-sysctl\n",
    "/lib/systemd/system/sysinit.target.wants/systemd-sysctl.service": b"[Service]\n",
    "/proc/cmdline": b"ro quiet\n",
    "/proc/filesystems": b"nodev\tselinuxfs\n",
    "/proc/self/mountinfo": b"30 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n",
    "/etc/ssh/sshd_config": b"UsePAM yes\n",
    "/etc/fstab": b"UUID=1 / ext4 defaults 0 1\n",
    "/etc/hosts": b"127.0.0.1 localhost\n192.0.2.190 master.k8s.io k8s-vip\n",
}
OUTPUTS = {
    "sysctl.leads": b"/proc/sys/net/ipv4/conf/eth0/forwarding:1\n",
    "sysctl.writers": b"",
}
PAM = {f"/etc/pam.d/a{n}": b"@include a%d\n@include a%d\n" % (n + 1, n + 1) for n in range(29)}


def doubled(lines: int) -> bytes:
    return b'GRUB_CMDLINE_LINUX="a $GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX"\n' * lines


CLOUD_CFG = "/etc/cloud/cloud.cfg"
CLOUD_INIT = {"/usr/bin/cloud-init": b""}


def levels(form: bytes, most: int) -> bytes:
    """Lists of ten, each of which names the one before ten times: a0 to a9, in this form."""
    made = [form.replace(b"%s", b"a0", form.count(b"%s") - 1) % b"x,y"]
    for n in range(1, most + 1):
        name = b"a%d" % n
        made.append(form.replace(b"%s", name, form.count(b"%s") - 1) % (b"*a%d," % (n - 1) * 10))
    return b"".join(made)


def script(lines: Sequence[bytes]) -> bytes:
    """The lines of rc.local, as the probe prints them."""
    return b"".join(b"/etc/rc.local:%d:%s\n" % (n, line) for n, line in enumerate(lines, 1))


#: What the host answers (files by path, outputs of probes by name), and the row whose reason
#: must have these words; others may be anything but PASS where the honest host has none.
FILES: Mapping[str, tuple[Callable[[], Mapping[str, bytes]], str, str]] = {
    "haproxy-ports": (
        lambda: {"/etc/haproxy/haproxy.cfg": b"frontend a\n bind :1-300000000\n"},
        "",
        "",
    ),
    "grub-doubling": (
        lambda: {"/etc/default/grub": b"GRUB_CMDLINE_LINUX=a\n" + doubled(40)},
        "SEC-SELINUX persisted",
        "characters of the boot loader's variables",
    ),
    "grub-variables": (
        lambda: {
            "/boot/grub/grubenv": b"a=" + b"b" * 60_000 + b"\n",
            "/boot/grub/grub.cfg": b"linux /v $a\n" * 50_000,
        },
        "SEC-SELINUX persisted",
        "characters of the boot loader's variables",
    ),
    "grub-one-line": (
        lambda: {
            "/boot/grub/grubenv": b"a=" + b"b" * 60_000 + b"\n",
            "/boot/grub/grub.cfg": b"linux /v " + b"$a" * 30_000 + b"\n",
        },
        "SEC-SELINUX persisted",
        "characters of the boot loader's variables",
    ),
    "cmdline-one-word": (lambda: {"/proc/cmdline": b"a" * 60_000 + b"\n"}, "", ""),
    "sysctl-brackets": (
        lambda: {"/etc/sysctl.d/a.conf": b"net.ipv4.ip_forward" + b"[" * 60_000 + b"=1\n"},
        "SYS-IP-FORWARD persisted",
        "a pattern of sysctl.d is longer than 4096 characters",
    ),
    "sysctl-a-line-of-100000-brackets": (
        lambda: {"/etc/sysctl.d/a.conf": b"net.ipv4.ip_forward" + b"[" * 100_000 + b"=1\n"},
        "SYS-IP-FORWARD persisted",
        "line 1 is longer than 64 KiB",
    ),
    "sysctl-patterns": (
        lambda: {
            "/etc/sysctl.d/a.conf": b"".join(
                b"net.%s.x%d = 1\n" % (b"[ab]*" * 20, n) for n in range(10_000)
            )
        },
        "SYS-IP-FORWARD persisted",
        "more than 1000 patterns",
    ),
    "pam-doubling": (
        lambda: {"/etc/pam.d/sshd": b"@include a0\n", **PAM, "/etc/pam.d/a29": b"\n"},
        "LIM-NOFILE persisted",
        "files of pam.d include each other",
    ),
    "pam-circle": (
        lambda: {"/etc/pam.d/sshd": b"@include a0\n", "/etc/pam.d/a0": b"@include sshd\n"},
        "LIM-NOFILE persisted",
        "sshd includes a0 includes sshd",
    ),
    "interfaces-doubling": (
        lambda: {
            "/etc/systemd/system/a.wants/networking.service": b"x\n",
            "/etc/network/interfaces": b"source interfaces.d/*\n",
            **{f"/etc/network/interfaces.d/{n}": b"source interfaces.d/*\n" for n in range(30)},
        },
        "",
        "",
    ),
    "fstab-mask": (
        lambda: {"/etc/fstab": b"password=x" + b" " * 60_000 + b"x\n"},
        "",
        "",
    ),
    "fstab-mask-200-kB": (
        lambda: {"/etc/fstab": b"password=x" + b" " * 200_000 + b"x\n"},
        "SWAP-OFF persisted",
        "line 1 is longer than 64 KiB",
    ),
    "fstab-curl": (lambda: {"/etc/fstab": b"curl " * 12_000 + b"\n"}, "", ""),
    "fstab-url": (lambda: {"/etc/fstab": b"a." * 32_000 + b"@\n"}, "", ""),
    "hosts-newlines": (
        lambda: {"/etc/hosts": b"\n" * 600_000},
        "HOSTS-VIP persisted",
        "the host's files have more than 300000 lines",
    ),
    "hosts-many-lines": (
        lambda: {"/etc/hosts": b"1.1.1.1 a\n" * 290_000},
        "HOSTS-VIP persisted",
        "it has more than 100000 lines",
    ),
    "hosts-99999-lines": (lambda: {"/etc/hosts": b"192.0.2.190 master.k8s.io\n" * 99_999}, "", ""),
    "hosts-large": (
        lambda: {"/etc/hosts": (b"1.1.1.1 " + b"a" * 50 + b"\n") * 90_000},
        "HOSTS-VIP persisted",
        "it is larger than 2 MiB",
    ),
    "hosts-no-utf-8": (
        lambda: {
            f"/etc/sysctl.d/{n}.conf": b"\xff" * 60_000 + "\U0001f600\n".encode()
            for n in range(200)
        },
        "SYS-IP-FORWARD persisted",
        "takes more than 32 MiB of memory",
    ),
    "sysctl-one-key": (
        lambda: {"/etc/sysctl.d/a.conf": b"net.ipv4.ip_forward=1\n" * 99_999},
        "",
        "",
    ),
    "limits-lines": (
        lambda: {"/etc/security/limits.conf": b"* - nofile 1\n" * 99_999},
        "",
        "",
    ),
    "yaml-aliases": (
        lambda: {
            "/etc/kubernetes/manifests/kube-vip.yaml": b"a0: &a0 [x, x]\n"
            + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60))
            + b"kind: Pod\nspec: *a59\n"
        },
        "",
        "",
    ),
    "yaml-large": (
        lambda: {"/etc/kubernetes/manifests/kube-vip.yaml": b"- {a: [b, c]}\n" * 99_000},
        "",
        "",
    ),
    "yaml-a-million-values": (
        lambda: {
            "/etc/kubernetes/manifests/kube-vip.yaml": (b"- [" + b"a," * 30_000 + b"]\n") * 33
        },
        "",
        "",
    ),
    "cloud-init-aliases": (
        lambda: CLOUD_INIT | {CLOUD_CFG: b"bootcmd:\n" + levels(b" - &%s [%s]\n", 10)},
        "SYS-IP-FORWARD persisted",
        "its aliases stand for more than 262144 values",
    ),
    "cloud-init-merged-keys": (
        lambda: (
            CLOUD_INIT
            | {
                CLOUD_CFG: b"bootcmd:\n"
                + levels(b" - &%s {<<: [%s]}\n", 10).replace(b"[x,y]", b"{x: y}")
            }
        ),
        "SYS-IP-FORWARD persisted",
        "its aliases stand for more than 262144 values",
    ),
    "cloud-init-one-word": (
        lambda: (
            CLOUD_INIT
            | {CLOUD_CFG: b"bootcmd:\n - &a %s\n - [%s]\n" % (b"b" * 60_000, b"*a," * 20_000)}
        ),
        "SYS-IP-FORWARD persisted",
        "its aliases stand for more than 262144 characters",
    ),
    "cloud-init-within-itself": (
        lambda: CLOUD_INIT | {CLOUD_CFG: b"bootcmd:\n - &a [*a, *a]\n"},
        "SYS-IP-FORWARD persisted",
        "an alias stands within its own anchor",
    ),
    "cloud-init-one-line": (
        lambda: (
            CLOUD_INIT
            | {"hosts_file.boot_commands": b""}
            | {CLOUD_CFG: b"{" + levels(b"%s: &%s [%s], ", 10) + b"manage_etc_hosts: *a10}\n"}
        ),
        "HOSTS-VIP persisted",
        "its aliases stand for more than 262144 values",
    ),
    "cloud-init-modules": (
        lambda: CLOUD_INIT | {CLOUD_CFG: b"cloud_init_modules:\n" + levels(b" - &%s [%s]\n", 10)},
        "SYS-IP-FORWARD persisted",
        "its aliases stand for more than 262144 values",
    ),
    "scripts-variables": (
        lambda: {"sysctl.writers": script([b"A=/etc/x", *[b"A=/etc/$A$A"] * 40])},
        "SYS-IP-FORWARD persisted",
        "a boot's command is longer than 64 KiB",
    ),
    "scripts-one-variable": (
        lambda: {"sysctl.writers": script([b"A=/etc/" + b"b" * 9000, *[b"echo $A$A"] * 5000])},
        "SYS-IP-FORWARD persisted",
        "more than 1048576 characters that variables and cd stand for",
    ),
    "scripts-one-folder": (
        lambda: {
            "sysctl.writers": script([b"cd /etc/" + b"b" * 4000, *[b"tee" + b" a" * 15] * 9000])
        },
        "SYS-IP-FORWARD persisted",
        "more than 1048576 characters that variables and cd stand for",
    ),
    "yaml-deep": (
        lambda: {"/etc/kubernetes/manifests/kube-vip.yaml": b"[" * 60_000 + b"\n"},
        "",
        "",
    ),
}
UNREACHABLE: Mapping[str, tuple[Callable[[str], bytes], str]] = {
    "bomb": (lambda token: packed(b"\0" * (100 << 20), token), "longer than 16 MiB"),
    "no-nul-record": (
        lambda token: packed(
            answer({}).replace(b"\x001:x\n", b"\x001:x\n" + b"a" * (15 << 20)), token
        ),
        "garbled",
    ),
    "frames": (
        lambda token: packed(answer({}) + frame("C") * 300_000, token),
        "has more than 10000 parts",
    ),
    "long-output": (
        lambda token: packed(answer(HONEST, {"swap.active": b"a" * (3 << 20)}), token),
        "more than 1 MiB",
    ),
    "find-errors": (
        lambda token: packed(answer(HONEST, errors=b"\n" * (5 << 20)), token),
        "more than 1 MiB",
    ),
}
NO_FILES: Mapping[str, tuple[Callable[[str], bytes], str]] = {
    "records": (
        lambda token: packed(answer({"/etc/hosts": b"\n" * 500_000}), token),
        "more than 300000 lines",
    ),
    "nul-fields": (
        lambda token: packed(answer({}, listed=b"\0" * 7 * 2_000_000), token),
        "lists more than 100000 files",
    ),
}


class Canned:
    """A transport to a host that answers this."""

    name = "canned"

    def __init__(self, answered: Callable[[str], bytes]) -> None:
        self._answered = answered

    def run_script(self, script: str, timeout: float) -> RawResponse:
        token = script.partition("\n")[0].removeprefix("echo ")
        return RawResponse(self._answered(token))


INVENTORY = """[masters]
honest ansible_host=192.0.2.191
liar ansible_host=192.0.2.192
[all:vars]
vip=192.0.2.190
vip_port=16443
vip_names="master.k8s.io k8s-vip"
hale_site=lab
"""


def with_given(given: Mapping[str, bytes]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The honest host's files and outputs, with these."""
    files = {name: content for name, content in given.items() if name.startswith("/")}
    outputs = {name: content for name, content in given.items() if name not in files}
    return HONEST | files, OUTPUTS | outputs


def judge_both(case: str, folder: Path) -> dict[str, Any]:
    """All rows of both hosts, and what it took; in the process of this case."""
    if case in FILES:
        files = FILES[case][0]
        answered: Callable[[str], bytes] = lambda token: packed(  # noqa: E731
            answer(*with_given(files())), token
        )
    else:
        answered = {**UNREACHABLE, **NO_FILES}.get(
            case, (lambda t: packed(answer(HONEST, OUTPUTS), t), "")
        )[0]
    content = answered("0" * 16)  # made once, before the measurement
    path = folder / "inventory.ini"
    path.write_text(INVENTORY)
    inventory = ini.load_inventory(path)
    honest = Canned(lambda token: packed(answer(HONEST, OUTPUTS), token))
    liar = Canned(lambda token: content.replace(b"0" * 16, token.encode()))

    def transport(selected: SelectedHost) -> Canned:
        return honest if selected.host.name == "honest" else liar

    def audit(hosts: str) -> Audit:
        chosen = select_hosts(hosts, inventory, lambda uri: ())
        found = Audit(inventory, standard, "extended", chosen, transport, 60.0)
        found.gather(found.cases)
        for one in found.cases:
            found.judge(one)
        return found

    standard = loader.load_standard(ROOT / "standard")
    audit("honest")
    before = resource.getrusage(resource.RUSAGE_SELF)
    both = audit("all")
    after = resource.getrusage(resource.RUSAGE_SELF)
    rows = {
        f"{c.host_name} {c.requirement.id} {c.aspect}": [j.result.verdict, j.result.actual[:5000]]
        for c in both.cases
        if (j := both.judge(c))
    }
    return {
        "memory": (after.ru_maxrss - before.ru_maxrss) << 10,
        "seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "rows": rows,
    }


def in_a_process(case: str, folder: Path) -> dict[str, Any]:
    def limit() -> None:  # what fails must not take the machine's memory
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    done = subprocess.run(
        [sys.executable, __file__, case, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both hosts are honest."""
    return in_a_process("none", tmp_path_factory.mktemp("usual"))


def of(found: Mapping[str, Any], host: str) -> dict[str, Sequence[str]]:
    rows = found["rows"].items()
    return {row.partition(" ")[2]: v for row, v in rows if row.startswith(f"{host} ")}


def assert_bounded(found: Mapping[str, Any], usual: Mapping[str, Any]) -> None:
    assert found["memory"] < MEMORY
    assert found["seconds"] < SECONDS
    assert of(found, "honest") == of(usual, "honest")
    assert {"PASS", "UNKNOWN"} <= {verdict for verdict, _ in of(usual, "honest").values()}


@pytest.mark.parametrize("case", FILES)
def test_a_file_harms_only_the_rows_it_bears_on(
    case: str, tmp_path: Path, usual: dict[str, Any]
) -> None:
    found = in_a_process(case, tmp_path)
    assert_bounded(found, usual)
    _, row, words = FILES[case]
    if row:
        verdict, reason = of(found, "liar")[row]
        assert (verdict, words in reason) == ("UNKNOWN", True), reason
    runtime = of(found, "liar")["SYS-IP-FORWARD runtime"]
    whole_answer = case == "hosts-no-utf-8" or ("lines" in words and case == "hosts-newlines")
    assert runtime[0] == ("UNKNOWN" if whole_answer else "PASS")


@pytest.mark.parametrize("case", [*UNREACHABLE, *NO_FILES])
def test_an_answer_makes_all_its_rows_unknown(
    case: str, tmp_path: Path, usual: dict[str, Any]
) -> None:
    found = in_a_process(case, tmp_path)
    assert_bounded(found, usual)
    rows = {
        row: v for row, v in of(found, "liar").items() if "inventory" not in row and v[0] != "N-A"
    }
    assert {verdict for verdict, _ in rows.values()} == {"UNKNOWN"}
    words = {**UNREACHABLE, **NO_FILES}[case][1]
    assert words in rows["SYS-IP-FORWARD runtime"][1]
    if case in UNREACHABLE:
        assert all(words in reason for _, reason in rows.values())


def test_a_reader_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """In whatever thread, and whatever it catches; what comes after it for this host, at once."""
    stopwatch = reading_time.Stopwatch()
    stopwatch.seconds = READING_SECONDS - 0.2

    def read() -> None:
        while True:
            with contextlib.suppress(Exception):
                sum(range(1000))

    began = time.process_time()
    with pytest.raises(reading_time.TimeExceeded), reading_time.limited(stopwatch):
        read()
    assert time.process_time() - began < 1.5
    with pytest.raises(reading_time.TimeExceeded), reading_time.limited(stopwatch):
        pytest.fail("it was begun")
    with reading_time.limited(reading_time.Stopwatch()):
        time.sleep(0.3)  # nothing comes late


if __name__ == "__main__":
    print(json.dumps(judge_both(sys.argv[1], Path(sys.argv[2]))))
