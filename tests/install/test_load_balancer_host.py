"""The versions of haproxy and keepalived, as their programs and the package managers print them."""

import subprocess
from pathlib import Path

import pytest

from facts.cluster import load_balancer_host
from facts.cluster.load_balancer_host import Ipv6, LoadBalancerHost, Version
from hale.model.evidence import Unreadable
from tests.install import factories

SUBJECT = load_balancer_host.SUBJECT
KEY = f"{SUBJECT}.{load_balancer_host.probe().name}"


def read(output: str) -> LoadBalancerHost:
    return load_balancer_host.read(factories.observed({"m1": {KEY: output}}, {}).of("m1", SUBJECT))


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("installed haproxy HA-Proxy version 1.8.27-493ce0b 2020/11/06", (1, 8, 27)),
        ("installed haproxy HA-Proxy version 2.2.9-2+deb11u6 2023/12/23 - https://h/", (2, 2, 9)),
        ("installed haproxy HAProxy version 2.6.12-1+deb12u3 2025/10/03", (2, 6, 12)),
        ("installed haproxy HAProxy version 3.3-dev5-1a2b3c 2025/07/28", (3, 3, 0)),
        ("candidate haproxy 2.0.29-0ubuntu1.4", (2, 0, 29)),
        ("candidate haproxy 1:3.2.26-1", (3, 2, 26)),
        ("candidate haproxy 1.8.27", (1, 8, 27)),
        ("candidate haproxy (none)", None),
        ("candidate haproxy ", None),
        ("installed keepalived Keepalived v1.3.5 (03/19,2017), git commit v1.3.5-6", (1, 3, 5)),
        ("installed keepalived Keepalived v2.1.5 (07/13,2020)", (2, 1, 5)),
        ("installed keepalived a warning Keepalived v2.3.4 (06/10,2025)", (2, 3, 4)),
        ("installed keepalived Unable to read a file \npackage keepalived 1:2.3.3-1", (2, 3, 3)),
        ("installed keepalived Keepalived v2.2.8 (04/04,2023)\npackage keepalived 1.9", (2, 2, 8)),
        ("candidate keepalived 1:2.3.4-1+b2", (2, 3, 4)),
    ],
)
def test_a_version_is_read(line: str, version: Version | None) -> None:
    found = read(f"{line}\nipv6 enabled\n")
    word, name, _ = line.split(" ", 2)
    program, other = getattr(found, name), {found.haproxy, found.keepalived} - {None}
    assert (program and program.version) == version
    assert program is None or program.installed == (word == "installed")
    assert other <= {program}


@pytest.mark.parametrize("state", Ipv6)
def test_ipv6_is_read(state: Ipv6) -> None:
    assert read(f"ipv6 {state.value}\n").ipv6 is state


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (
            "installed haproxy sh: cannot execute\nipv6 enabled\n",
            "`haproxy -v` prints no version: 'sh: cannot execute'.*run the command again",
        ),
        ("installed haproxy HAProxy version 2.6.12\n", "does not say whether there is IPv6"),
        ("ipv6 perhaps\n", "garbled: 'ipv6 perhaps'"),
        ("", "does not say whether there is IPv6"),
    ],
)
def test_what_cannot_be_read_is_no_guess(output: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(output)


APT = "printf 'haproxy:\\n  Installed: (none)\\n  Candidate: 2.0.29-0ubuntu1.4\\n'"


@pytest.mark.parametrize(
    ("programs", "version", "installed"),
    [
        ({"haproxy": "echo warning; echo 'HA-Proxy version 1.8.27'; echo more", "apt-cache": APT},
         (1, 8, 27), True),
        ({"haproxy": "exit 1", "dpkg-query": "echo 1:2.3.3-1"}, (2, 3, 3), True),
        ({"haproxy": "exit 1", "rpm": "echo 1.8.27", "dnf": "echo 9.9"}, (1, 8, 27), True),
        ({"apt-cache": APT, "dnf": "echo 9.9"}, (2, 0, 29), False),
        ({"apt-cache": "exit 100"}, None, False),
        ({"dnf": "printf '1.8.27\\n1.8.27\\n'"}, (1, 8, 27), False),
        ({"dnf": "echo 'Cache-only enabled but no cache' >&2; exit 1"}, None, False),
        ({}, None, False),
    ],
)  # fmt: skip
def test_the_probe_asks_the_program_then_the_package_manager(
    programs: dict[str, str], version: Version | None, installed: bool, tmp_path: Path
) -> None:
    for name in ("head", "sed", "tr", "cat"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    script = load_balancer_host.probe().script
    done = subprocess.run(
        ["/bin/sh", "-c", script], capture_output=True, text=True, env={"PATH": str(tmp_path)},
        check=True,
    )  # fmt: skip
    found = read(done.stdout).haproxy
    assert (found and found.version) == version
    assert found is None or found.installed == installed
