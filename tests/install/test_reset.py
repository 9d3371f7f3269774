"""`invoke reset --gone`: what is done for a host that no longer exists, and when nothing is."""

import dataclasses
import tomllib
from pathlib import Path

import msgspec
import pytest

from hale.install.cluster_context import ClusterContext
from hale.install.phase import Observations, RunScript
from hale.install.reset import Reset
from hale.inventory.ini import Host
from hale.model.errors import UserError
from remediate.cluster import reset
from tests.install import factories

NODES = """at 10.0.0.1:6443
nodes 0 {"columnDefinitions":[{"name":"Name"},{"name":"Status"},{"name":"Roles"}],"rows":[\
{"cells":["m1","Ready","control-plane"]},{"cells":["m2","NotReady","control-plane"]},\
{"cells":["m3","Ready","control-plane"]},{"cells":["w1","NotReady","<none>"]},\
{"cells":["w2","Ready","<none>"]}]} @ 200
"""
SERVICES = """haproxy loaded active enabled 5
keepalived loaded active enabled 5
clock 100.0 50.0 100
"""
DONE = Path(__file__).parent / "phases" / "masters" / "done.toml"


def site_without(tmp_path: Path, name: str) -> tuple[ClusterContext, Host]:
    """The site as `--gone` has it, and the host that is gone."""
    site = factories.made(tmp_path)
    gone = next(h for h in site.hosts if h.name == name)
    rest = tuple(h for h in site.inventory.hosts if h is not gone)
    inventory = msgspec.structs.replace(site.inventory, hosts=rest)
    return dataclasses.replace(site, inventory=inventory), gone


def evidence(*masters: str, nodes: str = NODES, etcd: str = "") -> Observations:
    """What these masters answer: healthy members of etcd, which has three."""
    outputs = tomllib.loads(DONE.read_text())["outputs"]
    return factories.observed(
        {
            name: {"nodes.nodes": nodes, "etcd.members": etcd or outputs[name]["etcd.members"]}
            for name in masters
        },
        {},
    )


@pytest.mark.parametrize(
    ("name", "masters", "titles"),
    [
        ("m2", ("m1", "m3"), ["etcd forgets m2", "the cluster forgets m2"]),
        ("w1", ("m1", "m2", "m3"), ["the cluster forgets w1"]),
    ],
)
def test_the_cluster_forgets_a_host_that_is_gone(
    tmp_path: Path, name: str, masters: tuple[str, ...], titles: list[str]
) -> None:
    site, gone = site_without(tmp_path, name)
    found = evidence(*masters)
    assert reset.quorum_loss(site, found, [gone]) == ""
    (batch,) = reset.gone_batches(site, found, gone)
    steps = [s for s in batch.steps if isinstance(s, RunScript)]
    assert [s.title for s in steps] == titles
    assert {s.host for s in steps} == {"m1"}, "nothing is done on the host itself"
    assert (batch.wait_for is not None) == gone.is_master


@pytest.mark.parametrize(
    ("name", "found", "why"),
    [
        ("w2", evidence("m1"), "the cluster says that w2 is Ready, so it is not gone"),
        (
            "m2",
            evidence("m1", nodes="at none\n"),
            "no other control-plane node's apiserver answers",
        ),
        ("m2", evidence("m1", etcd="garbled"), "etcd's members cannot be read on m1"),
    ],
)
def test_it_is_refused(tmp_path: Path, name: str, found: Observations, why: str) -> None:
    site, gone = site_without(tmp_path, name)
    absent = {h.name: {"nodes.nodes": "at none\n"} for h in site.masters if h.name != "m1"}
    every = Observations({**factories.observed(absent, {}).hosts, **found.hosts})
    with pytest.raises(UserError, match=f"nothing was changed: {why}"):
        list(reset.gone_batches(site, every, gone))


def test_a_member_whose_loss_costs_the_quorum_is_kept(tmp_path: Path) -> None:
    """Of three members one is healthy: without m2 it would be no majority."""
    site, gone = site_without(tmp_path, "m2")
    found = Observations({**evidence("m1").hosts, **evidence("m3", etcd="none").hosts})
    assert "without m2 there would be 1 healthy ones (m1)" in reset.quorum_loss(site, found, [gone])


def test_what_keeps_running_is_reported(tmp_path: Path) -> None:
    """On masters only; what does not run, or is as Hale wrote it, is not."""
    site = factories.made(tmp_path)
    files = "abc 644 1.0 /etc/haproxy/haproxy.cfg\nabc 600 1.0 /etc/keepalived/keepalived.conf\n"
    hales = files + "hale /etc/keepalived/keepalived.conf\n"
    runs = SERVICES
    outputs = {
        "m1": {"written.files": hales, "services.units": runs},
        "m2": {"written.files": files, "services.units": runs.replace("active", "inactive")},
        "m3": {"written.files": "", "services.units": runs},
    }
    found = factories.observed(outputs, {})
    assert list(map(str, reset.kept(site, found, site.hosts))) == [
        "m1: haproxy keeps running, because /etc/haproxy/haproxy.cfg is not as Hale wrote it"
    ]


@pytest.mark.parametrize(
    ("more", "files", "remaining"),
    [
        ("", "", ["m1: vip 10.0.0.100"]),
        ("", "abc 600 1.0 /etc/keepalived/keepalived.conf\n", []),
        (
            "",
            "abc 600 1.0 /etc/keepalived/keepalived.conf\nhale /etc/keepalived/keepalived.conf\n",
            ["m1: vip 10.0.0.100"],
        ),
        ("endpoint_kind=external\n", "", []),
        ("endpoint_kind=kube-vip\n", "", ["m1: vip 10.0.0.100"]),
    ],
)
def test_the_vip_of_a_load_balancer_of_the_sites_is_no_leftover(
    tmp_path: Path, more: str, files: str, remaining: list[str]
) -> None:
    """It keeps running, and the reset is complete. Anything else there is a leftover."""
    site = factories.made(tmp_path, more)
    outputs = {"written.files": files, "services.units": SERVICES}
    for things in ("", "process etcd\n"):
        answer = {"remains.things": f"{things}vip {site.inventory.endpoint.vip}\nend\n"}
        found = factories.observed({"m1": outputs | answer}, {})
        lines = list(map(str, reset.remaining(site, found, site.hosts[:1])))
        expected = [line.replace("vip", "process etcd, vip") for line in remaining]
        assert lines == ((expected or ["m1: process etcd"]) if things else remaining)


def test_gone_goes_with_no_other_choice_of_hosts() -> None:
    for more in ({"hosts": "m1"}, {"packages": True}, {"allow_quorum_loss": True}):
        with pytest.raises(UserError, match="--gone excludes"):
            Reset("kubernetes", gone="m2", **more)
