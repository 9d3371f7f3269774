"""White space that is none to the programs of a host is none to their readers either.

Each case of a folder here that passes is recorded again with another character in place of a blank
of the line that decides; no verdict may stay PASS. `make lint` (lint/blanks.py) keeps Python's own
splitters out of facts/.
"""

import string
from typing import Any

import pytest
from msgspec.structs import replace

from facts.parsers import blanks, kernel_cmdline
from hale.audit.judge import judge_fact
from hale.model.evidence import Unreadable
from tests.facts.test_cases import HERE, Given, case_of, loaded, read, requirement_named

# What Python parts words or lines at, beyond ASCII's blanks: no-break space, next line, line and
# paragraph separator, ideographic space, the ASCII separators; and a byte order mark.
ODD = "\xa0\x85\u2028\u2029\u3000\x1c\x1d\x1e\x1f\ufeff"
EVERY = [chr(code) for code in range(0x3100) if chr(code).isspace()]

# A case, its file, and a part of the file; `~` is where the character goes.
LINES = [
    ("hosts_file/of-the-document", "/etc/hosts", "10.208.1.190 ", "10.208.1.190~"),
    ("hosts_file/of-the-document", "/etc/hosts", "10.208.1.190 ", "~10.208.1.190 "),
    ("br_netfilter/named", "/etc/modules-load.d/k8s.conf", "\nbr_netfilter", "\nbr_netfilter~"),
    ("sysctl/one-line", "/etc/sysctl.d/99-k8s.conf", "= 1", "=~1"),
    ("sysctl/one-line", "/etc/sysctl.d/99-k8s.conf", "net.ipv4.ip_forward", "~net.ipv4.ip_forward"),
    ("limits/memlock-unlimited", "/etc/security/limits.conf", "* soft", "*~soft"),
    ("limits/memlock-unlimited", "/etc/security/limits.conf", "memlock -1", "memlock~-1"),
    ("limits/memlock-unlimited", "/etc/ssh/sshd_config", "UsePAM yes", "UsePAM~yes"),
    ("limits/memlock-unlimited", "/etc/ssh/sshd_config", "UsePAM yes", "UsePAM yes~"),
    ("limits/memlock-unlimited", "/etc/pam.d/sshd", "     pam_limits", "~pam_limits"),
    ("address/boot-ifupdown", "/etc/network/interfaces", "address 10", "address~10"),
    ("address/boot-ifupdown", "/etc/network/interfaces", "auto eth0", "auto~eth0"),
    ("address/boot-networkd", "/etc/systemd/network/10-eth0.network", "Address=", "Address=~"),
    ("address/boot-networkd", "/etc/systemd/network/10-eth0.network", "=eth0", "=eth0~"),
    (
        "address/boot-networkmanager",
        "/etc/NetworkManager/system-connections/eth0.nmconnection",
        "=manual",
        "=manual~",
    ),
    (
        "load_balancer/boot-enabled",
        "/etc/haproxy/haproxy.cfg",
        "server k8s-master-03",
        "server~k8s-master-03",
    ),
]


@pytest.mark.parametrize("odd", ODD, ids=lambda c: f"U+{ord(c):04X}")
@pytest.mark.parametrize(("name", "path", "old", "new"), LINES)
def test_it_parts_no_words(name: str, path: str, old: str, new: str, odd: str) -> None:
    given = loaded((HERE / f"{name}.toml").read_bytes())
    assert verdict_of(given) == "PASS"
    assert verdict_of(edited(given, path, old, new.replace("~", odd))) != "PASS"
    assert verdict_of(edited(given, path, old, new.replace("~", " "))) == "PASS", "a blank is one"


def edited(given: Given, path: str, old: str, new: str) -> Given:
    file = given.files[path]
    assert old in file.text
    files = {**given.files, path: replace(file, text=file.text.replace(old, new, 1))}
    return replace(given, files=files)


def verdict_of(given: Given) -> str:
    requirement = requirement_named(given.requirement)
    fact: Any = judge_fact(case_of(given, requirement), lambda: read(given, requirement))
    return str(fact.result.verdict.value)


@pytest.mark.parametrize("odd", EVERY, ids=lambda c: f"U+{ord(c):04X}")
def test_only_blanks_of_ascii_part_words(odd: str) -> None:
    parts = 2 if odd in string.whitespace else 1
    assert len(blanks.split_words(f" a{odd}b ")) == parts
    assert len(blanks.split_words(f"a{odd}b", 1)) == parts
    assert (f"a{odd}".strip(blanks.BLANKS) == "a") == (parts == 2)
    assert len(blanks.split_lines(f"a{odd}b\n")) == (2 if odd == "\n" else 1)


@pytest.mark.parametrize("text", ["", " ", "a", " a b ", "a  b c", "\ta\r", "a b\r\n"])
@pytest.mark.parametrize("most", [-1, 0, 1, 2, 9])
def test_words_are_those_of_str_split(text: str, most: int) -> None:
    assert blanks.split_words(text, most) == text.split(maxsplit=most)


def test_letters_and_digits_are_those_of_ascii() -> None:
    assert blanks.lowered("K8S-VIP") == "k8s-vip"
    assert blanks.lowered("\u212a8s") == "\u212a8s"  # the Kelvin sign
    assert blanks.is_decimal("0123456789")
    assert not any(map(blanks.is_decimal, ["", "１", "٣", "²", "-1", "1 "]))


@pytest.mark.parametrize("text", ["ro\xa0selinux=0", "ro\\xa0selinux=0", "ro à selinux=0"])
def test_a_byte_that_the_kernel_takes_for_a_blank(text: str) -> None:
    with pytest.raises(Unreadable, match="byte A0"):
        kernel_cmdline.arguments(text)
