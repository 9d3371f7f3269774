"""No reader of `persisted` believes a file that a boot does not find as it is.

The first case of each subject that passes because of a file of /etc is recorded again with that
file in memory, under a mount, or in a line of tmpfiles.d: then no verdict may stay PASS.
"""

from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from facts.parsers.boot_files import MOUNT_TABLE
from hale.audit.judge import judge_fact
from tests.facts.test_cases import (
    CASES,
    USUAL_FILES,
    Given,
    GivenFile,
    case_of,
    loaded,
    read,
    requirement_named,
)

SUBJECTS = (
    "address",
    "br_netfilter",
    "hostname",
    "hosts_file",
    "kubelet",
    "limits",
    "load_balancer",
    "selinux",
    "service_limits",
    "swap",
    "sysctl",
    "time_sync",
)
RULES = "/etc/tmpfiles.d/site.conf"
# fstab decides by what it does not have; these facts name no line of the others, or have outputs.
ALWAYS = {
    "swap": "/etc/fstab",
    "kubelet": "/etc/systemd/system/kubelet.service.d/10-runtime.conf",
    "load_balancer": "/etc/haproxy/haproxy.cfg",
}


@cache
def passing(subject: str) -> tuple[Given, str]:
    """A case, and the file of /etc that decides it."""
    for path in CASES:
        given = loaded(path.read_bytes())
        if path.parent.name != subject or (given.verdict, given.aspect) != ("PASS", "persisted"):
            continue
        if ALWAYS.get(subject) in given.files:
            return given, ALWAYS[subject]
        winner = next(iter(given.winners or ()), "").partition(":")[0]
        file = given.files.get(winner)
        if winner.startswith("/etc/") and file and file.target is None and not given.outputs:
            return given, winner
    for path in CASES:  # cases with outputs, where there is no other
        given = loaded(path.read_bytes())
        if path.parent.name == subject and (given.verdict, given.aspect) == ("PASS", "persisted"):
            winner = next(iter(given.winners or ()), "").partition(":")[0]
            if winner.startswith("/etc/") and winner in given.files:
                return given, winner
    raise AssertionError(f"no case of {subject} passes by a file of /etc")


def verdict_of(given: Given) -> tuple[str, str]:
    requirement = requirement_named(given.requirement)
    result: Any = judge_fact(case_of(given, requirement), lambda: read(given, requirement)).result
    return result.verdict.value, result.actual


def with_file(given: Given, path: str, file: GivenFile) -> Given:
    return replace(given, files={**given.files, path: file})


def with_mount(given: Given, path: str, device: str, point: str, kind: str) -> Given:
    """The file on this device, and a mount of it."""
    table = f"{USUAL_FILES[MOUNT_TABLE].text}31 30 {device} / {point} rw - {kind} none rw\n"
    moved = with_file(given, path, replace(given.files[path], device=device))
    return with_file(moved, MOUNT_TABLE, GivenFile(table))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_case_passes(subject: str) -> None:
    given, path = passing(subject)
    assert verdict_of(given)[0] == "PASS"
    assert verdict_of(with_mount(given, path, "8:17", "/srv", "xfs"))[0] == "PASS"


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("to", ["/run/site", "/var/run/site", "../../dev/shm/x", "/tmp/x"])
def test_a_link_into_what_a_boot_empties(subject: str, to: str) -> None:
    given, path = passing(subject)
    target = to if to.startswith("/") else "../" * path.count("/") + "dev/shm/x"
    verdict, reason = verdict_of(with_file(given, path, replace(given.files[path], target=target)))
    assert verdict != "PASS"
    assert f"{path} leads to /" in reason


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_a_file_in_memory(subject: str, kind: str) -> None:
    given, path = passing(subject)
    verdict, reason = verdict_of(with_mount(given, path, "0:24", "/mnt", kind))
    assert verdict != "PASS"
    assert f"{path} is in memory ({kind}), which a boot empties" in reason


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_mount_that_nothing_makes_at_boot(subject: str) -> None:
    given, path = passing(subject)
    verdict, reason = verdict_of(with_mount(given, path, "8:1", path, "ext4"))
    assert verdict != "PASS"
    assert f"{path} covers {path}" in reason


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(
    "rule",
    [r"F PATH 0644 root root - \#\n", "f+ PATH - - - - x", "L+ PATH - - - - /x", "w PATH - - - - x",
     "w+ PATH - - - - x", "r! PATH", "R FOLDER", "D FOLDER"],
)  # fmt: skip
def test_a_line_of_tmpfiles(subject: str, rule: str) -> None:
    given, path = passing(subject)
    folder = path.rpartition("/")[0]
    text = rule.replace("PATH", path).replace("FOLDER", folder) + "\n"
    verdict, reason = verdict_of(with_file(given, RULES, GivenFile(text)))
    assert verdict != "PASS"
    assert f"{RULES}:1 " in reason


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize(
    "rule", ["f PATH - - - - x", "C PATH", "L PATH", "z PATH 0644", "d FOLDER"]
)
def test_a_line_that_leaves_it(subject: str, rule: str) -> None:
    given, path = passing(subject)
    text = rule.replace("PATH", path).replace("FOLDER", path.rpartition("/")[0]) + "\n"
    assert verdict_of(with_file(given, RULES, GivenFile(text)))[0] == "PASS"
