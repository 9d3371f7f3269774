"""The load balancer's files have only keywords that the version reading them knows.

load_balancer_keywords.toml is the table, from the manuals: the oldest versions, haproxy 1.8 and 2.0
and keepalived before 2.1, are in no Debian that can still be installed. What Debian 11 to 14 have
reads the same files in test_load_balancer_binaries.py.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from facts.cluster.load_balancer_host import Ipv6, LoadBalancerHost, Program, Version
from hale.inventory.ini import Host
from hale.model.errors import Location
from remediate.cluster import load_balancer_config
from tests.install import load_balancer_files as files

KEYWORDS = tomllib.loads(Path(__file__).with_name("load_balancer_keywords.toml").read_text())
HAPROXY = [(1, 8, 0), *((2, n, 0) for n in (0, 2, 4, 6, 8)), (3, 0, 0), (3, 2, 0)]
KEEPALIVED = [(1, 3, 5), *((2, n, 0) for n in (0, 1, 2)), (2, 2, 8), (2, 3, 0)]


def version_of(text: str) -> Version:
    major, minor, patch = (*map(int, text.split(".")), 0)[:3]
    return major, minor, patch


def haproxy_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each line's section and words: HAProxy's configuration manual, 2.1 and 2.2."""
    section = ""
    for line in text.splitlines():
        words = re.findall(r"(?:\\.|[^\s#\\])+", line.partition("#")[0])
        if words and not line[0].isspace():
            section = words[0]
        elif words:
            yield section, words


def keepalived_lines(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each line's innermost block and words."""
    blocks: list[str] = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words == ["}"]:
            blocks.pop()
        elif words[-1:] == ["{"]:
            blocks.append(words[0])
        elif words:
            yield blocks[-1], words
    assert not blocks


def unknown(program: str, lines: Iterator[tuple[str, list[str]]], version: Version) -> list[str]:
    """What that version does not know, by the table; empty if it knows all of it."""
    return [
        f"{section}: {' '.join(words)}: {why}"
        for section, words in lines
        if (why := _unknown(KEYWORDS[program].get(section, {}), words, version))
    ]


def _unknown(known: Mapping[str, Any], words: list[str], version: Version) -> str:
    """Reads keywords until no word is left; a block of values has one keyword, the empty one."""
    starts = [" ".join(words[:n]) for n in (3, 2, 1, 0) if " ".join(words[:n]) in known]
    if not starts:
        return "no such keyword"
    keyword = known[starts[0]]
    if version < version_of(keyword["since"]):
        return f"since {keyword['since']}"
    if "before" in keyword and version >= version_of(keyword["before"]):
        return f"not from {keyword['before']} on"
    rest = words[len(starts[0].split()) :]
    arguments = keyword["arguments"]
    if len(rest) < len(arguments) or not all(
        re.fullmatch(pattern, word) for pattern, word in zip(arguments, rest, strict=False)
    ):
        return f"other arguments than {arguments}"
    parameters = rest[len(arguments) :]
    while parameters:
        named = keyword.get("parameters", {}).get(parameters[0])
        if named is None:
            return f"{parameters[0]}: no such parameter"
        if why := _unknown(
            {parameters[0]: named}, parameters[: 1 + len(named["arguments"])], version
        ):
            return f"{parameters[0]}: {why}"
        parameters = parameters[1 + len(named["arguments"]) :]
    return ""


@pytest.mark.parametrize(
    ("version", "ipv6", "name"), list(product(HAPROXY, Ipv6, files.HAPROXY)), ids=str
)
def test_haproxy_knows_every_keyword(version: Version, ipv6: Ipv6, name: str) -> None:
    text = files.haproxy(name, version, ipv6)
    assert unknown("haproxy", haproxy_lines(text), version) == []
    assert ("bind :::16443 v4v6" in text) == (ipv6 is not Ipv6.ABSENT)
    assert ("bind *:16443\n" in text) == (ipv6 is Ipv6.ABSENT)
    request = ["GET", "/readyz", "HTTP/1.1", "Host", "api.example"]
    (check,) = [line for line in text.splitlines() if "/readyz" in line]
    assert [word for word in re.split(r"[\s:]+|\\r\\n|\\ ", check) if word in request] == request


@pytest.mark.parametrize(("version", "name"), list(product(KEEPALIVED, files.KEEPALIVED)), ids=str)
def test_keepalived_knows_every_keyword(version: Version, name: str) -> None:
    text = files.keepalived(name, version)
    assert unknown("keepalived", keepalived_lines(text), version) == []
    if name == "keepalived-alone.conf":
        assert ("unicast" in text) == (version < (2, 2, 8))


@pytest.mark.parametrize("version", HAPROXY, ids=str)
def test_a_version_gets_one_of_two_forms_of_the_check(version: Version) -> None:
    """The text for 2.2 is refused by 2.0, and what 2.0 needs is deprecated in 2.2."""
    older, newer = (files.haproxy("haproxy.cfg", v, Ipv6.ENABLED) for v in ((2, 1, 9), (2, 2, 0)))
    wrong = newer if version < (2, 2, 0) else older
    (problem,) = unknown("haproxy", haproxy_lines(wrong), version)
    assert "httpchk GET" in problem or "http-check send" in problem


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("    balance leastconn", "other arguments"),
        ("    no option tcplog", "no such keyword"),
        ("    bind *:16443 v4v6 v6only", "v6only: no such parameter"),
        ("    default-server check weight 1", "weight: no such parameter"),
    ],
)
def test_the_table_names_what_it_does_not_have(line: str, why: str) -> None:
    section = "frontend" if "bind" in line else "backend"
    (problem,) = unknown("haproxy", haproxy_lines(f"{section} x\n{line}\n"), (3, 2, 0))
    assert why in problem


@pytest.mark.parametrize(
    ("version", "validates"), [((1, 3, 5), False), ((2, 0, 3), False), ((2, 0, 4), True)], ids=str
)
def test_keepalived_validates_a_file_where_it_can(version: Version, validates: bool) -> None:
    assert ("keepalived -t" in load_balancer_config.keepalived_check(version)) == validates


HOST = Host("m1", "10.0.0.1", frozenset(), {}, Location(Path("inventory.ini")))


@pytest.mark.parametrize(
    ("haproxy", "keepalived", "refused"),
    [
        ((1, 8, 0), (1, 3, 5), ""),
        ((3, 4, 0), (2, 4, 0), ""),
        (
            (1, 7, 11),
            (2, 2, 7),
            "m1: haproxy 1.7.11 would be installed, and Hale's configuration needs 1.8 or later. "
            "Give the host a package source with a newer haproxy, or use a load balancer of your "
            "own: endpoint_kind=external (docs/install.md).",
        ),
        (
            (1, 8, 27),
            (1, 3, 4),
            "m1: keepalived 1.3.4 would be installed, and Hale's configuration needs 1.3.5 or "
            "later. Give the host a package source with a newer keepalived, or use a load balancer "
            "of your own: endpoint_kind=external (docs/install.md).",
        ),
    ],
    ids=str,
)
def test_what_is_too_old_is_refused(haproxy: Version, keepalived: Version, refused: str) -> None:
    found = LoadBalancerHost(
        Program(haproxy, "", installed=False), Program(keepalived, "", installed=False)
    )
    assert list(load_balancer_config.problems(HOST, found, "10.0.0.100")) == [refused] * bool(
        refused
    )


@pytest.mark.parametrize(
    ("vip", "ipv6", "how"),
    [
        ("fd00::100", Ipv6.ABSENT, "(ipv6.disable=1)"),
        ("fd00::100", Ipv6.DISABLED, "(net.ipv6.conf.all.disable_ipv6=1)"),
        ("fd00::100", Ipv6.ENABLED, ""),
        ("10.0.0.100", Ipv6.ABSENT, ""),
    ],
)
def test_a_vip_of_ipv6_needs_ipv6(vip: str, ipv6: Ipv6, how: str) -> None:
    refused = list(load_balancer_config.problems(HOST, LoadBalancerHost(ipv6=ipv6), vip))
    assert [how in text and text.startswith("m1: the VIP fd00::100 is") for text in refused] == [
        True
    ] * bool(how)
