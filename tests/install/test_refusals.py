"""What the gate refuses before anything is changed: hosts on which a phase can never complete."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hale.install import host_requirements, plan_view, preflight, refusals, workflow
from hale.install.observe import HostsUnreachable
from hale.install.options import InstallOptions
from hale.install.phase import Observations
from hale.model.errors import UserError
from hale.ssh import SessionPool
from tests.install import factories

VERSIONS = "candidate haproxy {}\ncandidate keepalived 1:2.2.7-1+b2\nipv6 enabled\n"
VERSIONS_PROBE = "load_balancer_host.versions"
TOO_OLD = "m2: haproxy 1.7.11 would be installed, and Hale's configuration needs 1.8 or later."


@pytest.mark.parametrize(
    ("m2", "reasons"),
    [
        (VERSIONS.format("1.7.11-1"), [TOO_OLD]),
        (VERSIONS.format("2.6.12-1"), []),
        (VERSIONS.format("(none)"), []),  # judged once a list has it
        ("installed haproxy Segmentation fault\nipv6 enabled\n",
         ["load_balancer: m2: `haproxy -v` prints no version: 'Segmentation fault'."]),
    ],
)  # fmt: skip
def test_each_masters_versions_are_judged(
    m2: str, reasons: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = factories.made(tmp_path)
    monkeypatch.setattr(refusals, "phase_names", lambda: ("load_balancer",))

    def observe(requests: Iterable[Any], of: Any) -> tuple[Observations, ...]:
        (request,) = requests
        found: dict[str, dict[str, str]] = {}
        for host in site.hosts:
            if request.of.probes(site, host):
                output = m2 if host.name == "m2" else VERSIONS.format("2.6.12-1")
                found[host.name] = {VERSIONS_PROBE: output, "written.files": ""}
        assert list(found) == ["m1", "m2", "m3"], "workers have no load balancer"
        return (factories.observed(found, {}),)

    monkeypatch.setattr(refusals, "observe", observe)
    found = refusals.unsupported(site, SessionPool({}))
    assert [text[: len(reason)] for text, reason in zip(found, reasons, strict=True)] == reasons


def test_a_load_balancer_of_the_sites_own_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "phase_names", lambda: ("load_balancer",))
    site = factories.made(tmp_path, "endpoint_kind=external\n")
    assert refusals.unsupported(site, SessionPool({})) == ()


def test_a_host_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(*_: Any) -> tuple[Observations, ...]:
        raise HostsUnreachable("m2: no route to host.")

    monkeypatch.setattr(refusals, "observe", observe)
    with pytest.raises(UserError, match="m2: no route to host"):
        refusals.unsupported(factories.made(tmp_path), SessionPool({}))


@pytest.mark.parametrize(("masters", "refused"), [("1.33.1-1.1", True), ("1.34.4-1.1", False)])
def test_a_worker_is_not_added_to_a_cluster_of_another_version(
    masters: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kubelet would be newer than the apiserver."""
    site = factories.made(tmp_path)
    monkeypatch.setattr(refusals, "phase_names", lambda: ("packages",))

    def observe(requests: Iterable[Any], of: Any) -> tuple[Observations, ...]:
        (request,) = requests
        found: dict[str, dict[str, str]] = {}
        for host in site.hosts:
            for subject, (probe,) in request.of.probes(site, host).items():
                kubelet = f"have kubelet hi {masters}\n" if host.is_master else ""
                assert "kubelet" in probe.script
                found[host.name] = {
                    f"{subject}.{probe.name}": f"apt\n{kubelet}cgroup v2\ncapabilities 0\n"
                }
        return (factories.observed(found, {}),)

    monkeypatch.setattr(refusals, "observe", observe)
    reasons = refusals.unsupported(site, SessionPool({}), {"m1", "m2", "m3"})
    assert [text.partition(" ")[0] for text in reasons] == ["m1", "m2", "m3"] * refused
    assert all("An install does not upgrade a cluster" in text for text in reasons)
    assert refusals.unsupported(site, SessionPool({})) == ()


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstallOptions:
    """Options of an install that the gate refuses."""
    inventory = factories.made(tmp_path).inventory.path
    for module in (workflow, plan_view):
        monkeypatch.setattr(module, "check_reachable", lambda _: None)
        monkeypatch.setattr(module, "joined_hosts", lambda *_: frozenset())
    for module in (host_requirements, plan_view):
        monkeypatch.setattr(module, "unsupported", lambda *_: (TOO_OLD,))
    return InstallOptions(reports=tmp_path / "reports", inventory=inventory)


def test_the_gate_refuses_before_it_changes_or_audits(
    refused: InstallOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preflight, "run_preflight", lambda *_: pytest.fail("the hosts are audited"))
    monkeypatch.setattr(workflow, "run_phases", lambda *_: pytest.fail("a phase runs"))
    assert not workflow.install_cluster(refused)
    printed = capsys.readouterr().out
    assert f"✗ {TOO_OLD}" in printed
    assert "Nothing was changed" in printed


def test_a_plan_says_what_the_gate_would_refuse(
    refused: InstallOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passed = preflight.PreflightResult(refused.reports, None, (), (), ())
    monkeypatch.setattr(preflight, "run_preflight", lambda *_: passed)
    monkeypatch.setattr(plan_view, "phase_statuses", lambda *_, **__: [])
    plan_view.print_plan(refused)
    printed = capsys.readouterr().out
    assert f"blocked by: {TOO_OLD}" in printed
    assert "gate" in printed
    assert "done" not in printed
