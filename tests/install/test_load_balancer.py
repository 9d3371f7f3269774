"""Whether keepalived is restarted, which moves the VIP, or only started; whose version decides."""

import tomllib
from pathlib import Path

import pytest

from hale.install.phase import RunScript, WriteFile
from remediate.cluster import load_balancer
from remediate.cluster.load_balancer import LoadBalancer
from tests.install import factories
from tests.install.test_phases import HERE, digests


@pytest.mark.parametrize(
    ("since", "enabled", "how"),
    [
        ("6000", "disabled", "start"),  # seconds after boot: younger than its file
        ("10", "enabled", "restart"),
    ],
)
def test_keepalived_restarts_only_where_it_runs_by_an_older_file(
    tmp_path: Path, since: str, enabled: str, how: str
) -> None:
    given = tomllib.loads((HERE / "load_balancer" / "haproxy-older-than-its-file.toml").read_text())
    outputs = given["outputs"]
    units = outputs["m1"]["services.units"]
    outputs["m1"]["services.units"] = units.replace(
        "keepalived loaded active enabled 6000", f"keepalived loaded active {enabled} {since}"
    )
    site = factories.made(tmp_path)
    everywhere = outputs.pop("*", {})
    outputs = {h.name: everywhere | outputs.get(h.name, {}) for h in site.inventory.hosts}
    digests(outputs, load_balancer, site, given.get("files", {}))
    found = factories.observed(outputs, given.get("files", {}))
    steps = {
        step.title: step
        for batch in LoadBalancer().batches(site, found)
        for step in batch.steps
        if isinstance(step, RunScript) and step.host == "m1"
    }
    assert f"action={how}\n" in steps["keepalived"].script
    # What each brings about on its host; with HA-VIP-OWNER, which is no host's own, they are all.
    assert {name: set(step.awaited) for name, step in steps.items()} == {
        "haproxy": {"HA-LB-BACKENDS"},
        "keepalived": {"HA-APISERVER-VIP"},
    }
    awaited = frozenset().union(*(step.awaited for step in steps.values()))
    assert LoadBalancer.REMEDIATES - awaited == {"HA-VIP-OWNER"}


def test_each_host_gets_the_files_of_its_own_versions(tmp_path: Path) -> None:
    given = tomllib.loads((HERE / "load_balancer" / "not-installed.toml").read_text())
    outputs = given["outputs"]
    outputs["m2"]["load_balancer_host.versions"] = (
        "candidate haproxy 1.8.27\ncandidate keepalived 1.3.5\nipv6 absent\n"
    )
    site = factories.made(tmp_path)
    everywhere = outputs.pop("*")
    outputs = {h.name: everywhere | outputs.get(h.name, {}) for h in site.inventory.hosts}
    for host in ("m1", "m3"):  # what they have is of no interest
        outputs[host]["written.files"] = ""
    steps = {
        (step.host, step.path): step
        for batch in LoadBalancer().batches(site, factories.observed(outputs, {}))
        for step in batch.steps
        if isinstance(step, WriteFile)
    }
    old, new = (str(steps[host, load_balancer.HAPROXY].content) for host in ("m2", "m3"))
    assert r"option httpchk GET /readyz HTTP/1.1\r\nHost:\ api.example" in old
    assert "bind *:16443" in old
    assert "http-check send meth GET uri /readyz" in new
    assert "bind :::16443 v4v6" in new
    assert steps["m2", load_balancer.KEEPALIVED].check == ""
    assert "keepalived -t" in steps["m3", load_balancer.KEEPALIVED].check


@pytest.mark.parametrize(
    ("case", "packages"), [("not-installed", 1), ("haproxy-would-be-too-old", 0)]
)
def test_no_package_is_installed_before_the_refusal(
    tmp_path: Path, case: str, packages: int
) -> None:
    """The engine runs `prepare` while it reads what `preflight` judges."""
    outputs = tomllib.loads((HERE / "load_balancer" / f"{case}.toml").read_text())["outputs"]
    site = factories.made(tmp_path)
    everywhere = outputs.pop("*")
    outputs = {h.name: everywhere | outputs.get(h.name, {}) for h in site.inventory.hosts}
    for host in ("m1", "m3"):
        outputs[host]["written.files"] = f"{'0' * 64} 644 1.0 {load_balancer.KEEPALIVED}\n"
    batches = list(LoadBalancer().prepare(site, factories.observed(outputs, {})))
    assert [step.title for batch in batches for step in batch.steps] == ["packages"] * packages


OURS = {load_balancer.KEEPALIVED: "# written by Hale; edited\nglobal_defs {}\n"}
THEIRS = {load_balancer.KEEPALIVED: "! two addresses: the API's and the shop's\n"}


@pytest.mark.parametrize(
    ("joined", "content", "refused"),
    [
        (("m1", "m2"), THEIRS, ["m3"]),
        (("m1",), THEIRS, ["m2", "m3"]),
        (("m1", "m2"), OURS, []),
        (("m1", "m2", "m3"), THEIRS, []),
        ((), THEIRS, []),
    ],
)
def test_a_master_joins_no_cluster_whose_load_balancer_is_the_sites(
    tmp_path: Path, joined: tuple[str, ...], content: dict[str, str], refused: list[str]
) -> None:
    """A keepalived of Hale's beside another one would take the VIP as well."""
    given = tomllib.loads((HERE / "load_balancer" / "not-installed.toml").read_text())["outputs"]
    site = factories.made(tmp_path)
    known = f"{'0' * 64} 600 1.0 {load_balancer.KEEPALIVED}\n"
    outputs = {
        h.name: given["*"] | {"written.files": ("joined\n" if h.name in joined else "") + known}
        for h in site.inventory.hosts
    }
    files = {h.name: content for h in site.inventory.hosts}
    problems = LoadBalancer().gate_problems(site, factories.observed(outputs, files))
    assert [p.partition(": ")[0] for p in problems] == refused
    for problem in problems:
        assert "/etc/keepalived/keepalived.conf of m1" in problem
        assert "endpoint_kind=external" in problem
    own = factories.made(tmp_path, "endpoint_kind=external\n")
    assert LoadBalancer().gate_problems(own, factories.observed(outputs, files)) == ()
