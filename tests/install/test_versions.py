"""Versions that cannot work together are refused at the gate."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from facts.cluster.packages import Packages
from hale.install.scheduler import load_phase
from hale.model.lifetime import spelled
from hale.paths import ROOT
from hale.standard import loader
from remediate.cluster import versions
from tests.install import factories


@pytest.mark.parametrize(
    ("version", "found", "why"),
    [
        ("1.30.9", Packages("apt"), "v1beta4"),
        ("1.31.0", Packages("apt", cgroup="v1", containerd="1.6.20"), ""),
        ("1.34.4", Packages("apt", cgroup="v1", containerd="1.7.0"), ""),
        ("1.35.0", Packages("apt", cgroup="v1"), "version 1 of the control groups"),
        ("1.35.0", Packages("apt", cgroup="v2", containerd="1.7.0"), ""),
        ("1.36.0", Packages("apt", cgroup="v2", containerd="1.7.0"), "containerd 1.x"),
        ("1.36.0", Packages("apt", cgroup="v2", containerd="2.1.0"), ""),
        ("1.36.0", Packages("apt"), ""),
    ],
)
def test_what_cannot_work(tmp_path: Path, version: str, found: Packages, why: str) -> None:
    complete = factories.INVENTORY.replace("1.34.4", version)
    site = factories.made(tmp_path, complete=complete)
    problems = list(versions.problems(site, site.hosts[0], found))
    assert (why in problems[0]) if why else not problems
    assert len(problems) == bool(why)


def test_a_kubelet_that_accepts_version_1(tmp_path: Path) -> None:
    complete = factories.INVENTORY.replace("1.34.4", "1.35.0")
    site = factories.made(tmp_path, complete=complete)
    site = replace(site, extra={"KubeletConfiguration": {"failCgroupV1": False}})
    assert not list(versions.problems(site, site.hosts[0], Packages("apt", cgroup="v1")))


def test_the_gate_reads_each_host(tmp_path: Path) -> None:
    site = factories.made(tmp_path, complete=factories.INVENTORY.replace("1.34.4", "1.35.0"))
    phase = load_phase("packages")
    text = "apt\ncgroup {}\ncapabilities 0\n"
    outputs = {
        host.name: {"packages.versions": text.format("v1" if host.name == "w2" else "v2")}
        for host in site.hosts
        if phase.gate_probes(site, host)
    }
    (problem,) = phase.gate_problems(site, factories.observed(outputs, {}))
    assert problem.startswith("w2: Kubernetes 1.35.0: the kubelet does not start with version 1 ")


@pytest.mark.parametrize(
    ("what", "requirement"), [("cgroup v1", "NODE-CGROUP-V2"), ("containerd 1", "CMP-CONTAINERD")]
)
def test_the_gate_refuses_from_the_version_on_that_the_baseline_states(
    what: str, requirement: str
) -> None:
    standard = loader.load_standard(ROOT / "standard")
    (stated,) = (r for r in standard.requirements if r.id == requirement)
    table = tomllib.loads((ROOT / "remediate/cluster/versions.toml").read_text())["needs"]
    (row,) = (row for row in table if row["what"] == what)
    assert [spelled(lifetime.since or ()) for lifetime in stated.lifetimes] == [row["from"]]
