"""The limits of a new host's kubelet and containerd: a drop-in, made with the packages."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from facts.cluster import file_digests
from facts.service_limits import ServiceLimitsParameters
from hale.install import scheduler
from hale.install.phase import RunScript
from remediate import service_limits
from remediate.cluster import scripts
from tests.install import factories

CASE = Path(__file__).parent / "phases/packages/bare.toml"
# A stand-in for systemctl(1): what `show` prints of the package's own files, then of the drop-ins.
SYSTEMCTL = """#!/bin/sh
case $1 in
daemon-reload) echo reloaded >>{calls} ;;
show) sed -n "s/^$5 \\($3=\\)/\\1/p" {state} ;;
esac
"""
STATE = """\
kubelet.service LimitNOFILE=524288
kubelet.service LimitNOFILESoft=1024
kubelet.service LimitNPROC=30000
kubelet.service LimitNPROCSoft=30000
kubelet.service LimitMEMLOCK=8388608
kubelet.service LimitMEMLOCKSoft=8388608
containerd.service LimitNOFILE=infinity
containerd.service LimitNOFILESoft=infinity
containerd.service LimitNPROC=infinity
containerd.service LimitNPROCSoft=70000
containerd.service LimitMEMLOCK=infinity
containerd.service LimitMEMLOCKSoft=infinity
"""


def packages_scripts(tmp_path: Path, joined: bool) -> dict[str, str]:
    """The script that installs the packages, by host."""
    given = tomllib.loads(CASE.read_text())
    outputs = {h: dict(given["outputs"]["*"]) for h in ("m1", "m2", "m3", "w1", "w2")}
    if joined:
        outputs["w2"]["written.files"] = f"{file_digests.JOINED}\n"
    found = factories.observed(outputs, {})
    phase = scheduler.load_phase("packages")
    (batch,) = phase.batches(factories.made(tmp_path, "hale_svc_kubelet_nproc__least=9\n"), found)
    return {s.host: s.script for s in batch.steps if isinstance(s, RunScript)}


@pytest.mark.parametrize("joined", [False, True])
def test_a_host_that_has_joined_keeps_its_limits(tmp_path: Path, joined: bool) -> None:
    written = packages_scripts(tmp_path, joined)
    raised = {host for host, script in written.items() if "k8s-limits.conf" in script}
    assert raised == ({"m1", "m2", "m3", "w1"} if joined else {"m1", "m2", "m3", "w1", "w2"})


def test_the_inventorys_own_value_is_used(tmp_path: Path) -> None:
    script = packages_scripts(tmp_path, joined=False)["w1"]
    assert "kubelet.service k8s-limits.conf LimitNPROC 9 " in script
    assert "containerd.service k8s-limits.conf LimitNPROC 65536 " in script
    assert "kubelet.service k8s-limits.conf LimitMEMLOCK infinity" in script


def test_memlock_is_in_bytes() -> None:
    limit = ServiceLimitsParameters("kubelet.service", "memlock", 64, "k8s-limits.conf")
    assert service_limits.minimum(limit) == "65536"


def test_what_is_lower_is_raised_and_nothing_is_lowered(tmp_path: Path) -> None:
    calls, state, units = tmp_path / "calls", tmp_path / "state", tmp_path / "units"
    state.write_text(STATE)
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL.format(calls=calls, state=state))
    program.chmod(0o755)
    words = [
        word
        for unit in ("kubelet.service", "containerd.service")
        for setting, least in (
            ("LimitNOFILE", "65536"),
            ("LimitNPROC", "65536"),
            ("LimitMEMLOCK", "infinity"),
        )
        for word in (unit, "k8s-limits.conf", setting, least)
    ]
    script = scripts.load("raise_service_limits", *words, units=str(units))
    done = subprocess.run(
        ["sh", "-euc", script],
        env={"PATH": f"{program.parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert {str(p.relative_to(units)) for p in units.rglob("*.conf")} == {
        "kubelet.service.d/k8s-limits.conf"
    }
    assert (units / "kubelet.service.d/k8s-limits.conf").read_text().splitlines() == [
        *("[Service]", "LimitNOFILE=65536:524288"),
        *("[Service]", "LimitNPROC=65536:65536"),
        *("[Service]", "LimitMEMLOCK=infinity:infinity"),
    ]
    assert calls.read_text() == "reloaded\n"
