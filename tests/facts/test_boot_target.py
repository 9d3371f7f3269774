"""What is enabled starts at boot only where the boot goes to multi-user.target.

The first case of each subject that passes because a boot starts a unit is recorded again with
another default target, and with the unit's file in memory.
"""

from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from hale.audit.judge import judge_fact
from tests.facts.test_cases import (
    CASES,
    Given,
    GivenFile,
    GivenHost,
    case_of,
    loaded,
    read,
    requirement_named,
)

SUBJECTS = ("address", "kubelet", "load_balancer", "time_sync", "vip_owner")
DEFAULT = "/etc/systemd/system/default.target"
VENDORS = "/usr/lib/systemd/system/"


@cache
def passing(subject: str) -> Given:
    for path in CASES:
        given = loaded(path.read_bytes())
        actual = " ".join([given.actual] if isinstance(given.actual, str) else given.actual)
        passes = (given.verdict, given.aspect) == ("PASS", "persisted")
        if path.parent.name == subject and passes and "at boot" in actual:
            return given
    raise AssertionError(f"no case of {subject} passes by what a boot starts")


def verdict_of(given: Given) -> tuple[str, str]:
    requirement = requirement_named(given.requirement)
    result: Any = judge_fact(case_of(given, requirement), lambda: read(given, requirement)).result
    return result.verdict.value, result.actual


def with_file(given: Given, path: str, file: GivenFile) -> Given:
    if not given.hosts:
        return replace(given, files={**given.files, path: file})
    every: GivenHost = replace(given.every, files={**given.every.files, path: file})
    return replace(given, every=every)


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("target", ["multi-user", "graphical", "runlevel5"])
def test_it_starts(subject: str, target: str) -> None:
    link = GivenFile("[Unit]\n", target=f"{VENDORS}{target}.target")
    assert verdict_of(with_file(passing(subject), DEFAULT, link))[0] == "PASS"


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("target", ["rescue", "emergency", "basic", "poweroff"])
def test_it_does_not_start(subject: str, target: str) -> None:
    link = GivenFile("[Unit]\n", target=f"{VENDORS}{target}.target")
    verdict, reason = verdict_of(with_file(passing(subject), DEFAULT, link))
    assert verdict == "FAIL"
    assert f"{DEFAULT} has the next boot go to {target}.target" in reason


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_target_of_the_site_is_unknown(subject: str) -> None:
    link = GivenFile("[Unit]\n", target="/etc/systemd/system/k8s.target")
    verdict, reason = verdict_of(with_file(passing(subject), DEFAULT, link))
    assert verdict == "UNKNOWN"
    assert "systemctl list-dependencies k8s.target" in reason


@pytest.mark.parametrize("unit", ["kubelet", "haproxy", "chrony"])
def test_a_unit_in_memory_is_not_there(unit: str) -> None:
    subject = {"kubelet": "kubelet", "haproxy": "load_balancer", "chrony": "time_sync"}[unit]
    link = GivenFile("[Service]\n", target=f"/run/{unit}.service")
    path = f"/etc/systemd/system/{unit}.service"
    verdict, reason = verdict_of(with_file(passing(subject), path, link))
    assert verdict == "FAIL"
    assert f"{path} leads to /run/{unit}.service" in reason
