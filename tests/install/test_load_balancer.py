"""Whether keepalived is restarted, which moves the VIP, or only started."""

import tomllib
from pathlib import Path

import pytest

from hale.install.phase import RunScript
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
    digests(outputs, load_balancer, site, factories.seen(outputs, given.get("files", {})))
    found = factories.seen(outputs, given.get("files", {}))
    scripts = [
        step.script
        for batch in LoadBalancer().batches(site, found)
        for step in batch.steps
        if isinstance(step, RunScript) and (step.host, step.title) == ("m1", "keepalived")
    ]
    assert [f"action={how}\n" in script for script in scripts] == [True]
