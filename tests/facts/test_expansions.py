"""Small files of a host that stand for a lot: refused before any text is made of them."""

import re
import time
from collections.abc import Mapping

import pytest

from facts.parsers import (
    host_yaml,
    ip_command,
    kubelet_config,
    pam,
    scheduled_reboots,
    script_paths,
    service_commands,
    sysctl_writers,
    unit_command,
)
from hale.model.evidence import ConfigLine, Evidence, File, HostView, Unreadable

HAPROXY = "haproxy.service"
USES = ["${A}" * 200, " $A" * 200]


def view(files: Mapping[str, str], patterns: tuple[str, ...]) -> HostView:
    listed = {p: File(p, "f", None, 0.0, tuple(t.splitlines())) for p, t in files.items()}
    return HostView(Evidence("h", {}, listed, frozenset(patterns)), "x")


def unit(program: str, uses: str, length: int) -> str:
    return f"[Service]\nEnvironment=A={'b' * length}\nExecStart={program} {uses}\n"


@pytest.mark.parametrize("uses", USES, ids=["in-a-word", "as-words"])
def test_variables_of_a_unit(uses: str) -> None:
    def start(length: int) -> unit_command.StartCommand | None:
        files = {f"/lib/systemd/system/{HAPROXY}": unit("/usr/sbin/haproxy", uses, length)}
        return unit_command.start_command(view(files, unit_command.patterns(HAPROXY)), HAPROXY)

    found = start(10)
    assert found
    assert sum(map(len, found.words[1:])) == 2000
    with pytest.raises(Unreadable, match="characters of a unit's variables"):
        start(9000)


@pytest.mark.parametrize("uses", USES, ids=["in-a-word", "as-words"])
def test_variables_of_the_kubelet(uses: str) -> None:
    def options(length: int) -> dict[str, str]:
        text = unit("/usr/bin/kubelet", f"--c=x {uses}", length)
        files = {"/lib/systemd/system/kubelet.service": text}
        return kubelet_config.options(view(files, kubelet_config.PATTERNS))

    assert "c" in options(10)
    with pytest.raises(Unreadable, match="characters of a unit's variables"):
        options(9000)


def test_variables_of_an_address() -> None:
    values = {f"A{n}_": f"$A{n + 1}_$A{n + 1}_" for n in range(40)}
    line = "ip address add $A0_ dev eth0"
    assert list(ip_command.added_addresses(line, values)) == ["$A0_"]
    assert list(ip_command.added_addresses(line, {"A0_": "10.0.0.9/32"})) == ["10.0.0.9/32"]
    one = f"ip address add {'$A' * 20_000} dev eth0"
    assert list(ip_command.added_addresses(one, {"A": "b" * 60_000})) == ["$A" * 20_000]


def test_braces_of_a_parameter() -> None:
    many = "{" + "a," * 20_000 + "}"
    assert sysctl_writers._without_braces(f"net/{many}/{many}") == [f"net/{many}/{many}"]
    assert len(sysctl_writers._without_braces("net/{a,b}/{c,d}")) == 4


@pytest.mark.parametrize(
    "lines",
    [
        ["A=/etc/x", *["A=/etc/$A$A"] * 40],
        [f"A=/etc/{'b' * 9000}", *["echo $A$A"] * 60],
        ["A=/etc/x", "B=$A/y", f"echo {'$B' * 10_000}"],
        [f"cd /etc/{'b' * 4000}", *[f"tee{' a' * 15}"] * 20],
        [f"A=/etc/{'b' * 2000}", "cd /etc/x", *[f"cat x >$A{' a' * 15}; echo $A"] * 300],
    ],
    ids=["doubled", "repeated", "one-line", "folder", "both"],
)
def test_variables_and_folders_of_scripts(lines: list[str]) -> None:
    with pytest.raises(Unreadable):
        list(script_paths.absolute(lines, script_paths.allowance()))


@pytest.mark.parametrize(
    "line",
    ["cd /etc; tee " + "../" * 20_000 + "~", "cd /etc; x >" + "./" * 30_000 + "~"],
    ids=["word", "redirection"],
)
def test_a_long_name_is_read_once(line: str) -> None:
    began = time.process_time()
    assert list(script_paths.absolute([line], script_paths.allowance()))
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "before",
    ["a" * 60_000, "tee " * 15_000, "for a in " * 6_000, "echo " * 12_000, ">" * 60_000],
    ids=lambda text: text[:4].strip(),
)
def test_what_precedes_a_path_is_read_once(before: str) -> None:
    line = ConfigLine("/etc/rc.local", 1, f"{before}; cat /proc/sys/net/ipv4/ip_forward")
    key = re.compile(sysctl_writers._written("net/ipv4/ip_forward"), re.ASCII)
    began = time.process_time()
    list(sysctl_writers._in_line(line, line.text, key))
    assert time.process_time() - began < 5


@pytest.mark.parametrize("before", ["$( ", ""])
def test_a_line_of_many_kills_is_read_once(before: str) -> None:
    began = time.process_time()
    assert not list(service_commands._changes(before + "kill " * 13_000, False, "a.service"))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "stopped"),
    [
        ("kill $(pidof chronyd)", ["chronyd"]),
        ("x; kill -9 `cat /run/chronyd.pid` && y", ["chronyd"]),
        ("kill $(ps | grep chronyd | cut -c1-5)", ["chronyd"]),
        ("kill 1 | kill $(pidof chronyd); kill $(pidof ntpd)", ["chronyd", "ntpd"]),
        ("kill -HUP $(pidof chronyd)", []),
        ("kill 5; echo $(pidof chronyd)", []),
        ("kill 5 | echo $(pidof chronyd)", []),
        ("skill $(pidof chronyd)", []),
    ],
)
def test_what_is_killed_by_its_number(text: str, stopped: list[str]) -> None:
    found = [word for _, names in service_commands._changes(text, False, "") for word in names]
    assert [name for name in found if name in ("chronyd", "ntpd")] == stopped


def test_a_control_of_pam_is_read_once() -> None:
    began = time.process_time()
    assert not pam._ends_stack("[" + "=done" * 13_000)
    assert time.process_time() - began < 0.2
    assert pam._ends_stack("[success=done default=ignore]")
    assert pam._ends_stack("sufficient")
    assert not pam._ends_stack("[success=donex default=ignore]")


def test_many_reboots_of_cron() -> None:
    def hours(lines: int) -> int:
        text = "\n".join(f"0 {n % 24} {1 + n // 24} * * root reboot" for n in range(lines))
        patterns = tuple(str(p) for p in scheduled_reboots.PATTERNS)
        return len([*scheduled_reboots.reboots(view({"/etc/crontab": text}, patterns))])

    assert hours(100) == 100
    with pytest.raises(Unreadable, match="more than 100 reboots of cron and of timers"):
        hours(101)


def test_the_allowance_is_that_of_all_files() -> None:
    allowed = script_paths.allowance()
    lines = [f"A=/etc/{'b' * 9000}", *["echo $A$A"] * 3]

    def read(files: int) -> None:
        for _ in range(files):
            list(script_paths.absolute(lines, allowed))

    read(1)
    with pytest.raises(Unreadable, match="1048576 characters"):
        read(30)


def test_a_folder_that_cannot_exist_is_none() -> None:
    lines = [f"cd /etc/{'b' * 5000}", "tee a"]
    assert list(script_paths.absolute(lines, script_paths.allowance())) == lines


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: [" + "b," * 140_000 + "]", "more than 256 KiB of YAML"),
        ("[" * 500 + "]" * 500, "nested deeper than 100 levels"),
        (f"a: &a {'b' * 90_000}\nc: [*a, *a, *a]", "more than 262144 characters"),
        ("&a [*a]", "an alias stands within its own anchor"),
    ],
)
def test_yaml_over_a_limit_is_unknown(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=f"^/etc/x: .*{why}"):
        host_yaml.load(text, "/etc/x")


@pytest.mark.parametrize(
    "text", ["a: [", "a: *b", "a: 2026-99-99", "--- a\n--- b", "!!python/name:os.system x"]
)
def test_what_is_no_yaml(text: str) -> None:
    with pytest.raises(host_yaml.InvalidYaml) as raised:
        host_yaml.load(text, "/etc/x")
    assert "\n" not in str(raised.value)


def test_yaml_within_the_limits() -> None:
    assert host_yaml.load("", "/etc/x") is None
    text = "base: &base {a: 1}\none: {<<: *base, b: 2}\ntwo: [*base, *base]\n"
    found = host_yaml.load(text, "/etc/x")
    assert found == {"base": {"a": 1}, "one": {"a": 1, "b": 2}, "two": [{"a": 1}, {"a": 1}]}
