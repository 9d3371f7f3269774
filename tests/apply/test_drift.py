"""`pytest --drift` on hosts of the lab: none while they are not touched, then what was changed."""

import subprocess
from collections.abc import Iterator

import pytest

from hale.model.comparison import ChangeKind
from hale.model.results import RowKey
from hale.model.verdict import Verdict
from tests.apply.compliant_lab import LOOKS, NO_CLUSTER
from tests.apply.invoke_cli import INVOKE, Operator
from tests.engine.pytest_cli import ROOT, Done, typed

pytestmark = pytest.mark.lab

# A control-plane node and a worker, and not the cluster: no VIP answers here, which takes seconds.
HOSTS = ("k8s-master-02", "k8s-node-01")
UNTOUCHED = 5  # audits
SITE = "/etc/sysctl.d/zz-site.conf"
# A value that fails, and one that complies as the one before it does, of another file.
CHANGES = {
    HOSTS[0]: f"echo net.ipv4.ip_forward=1 >{SITE}",
    HOSTS[1]: f"echo net.ipv4.ip_forward=0 >{SITE}; sysctl -qw net.ipv4.ip_forward=0",
}


@pytest.fixture
def accepted(operator: Operator) -> Iterator[Operator]:
    """Every row of both hosts, as they are now, is accepted."""
    found = audited(operator, "first")
    assert found.folder
    command = ["accept", str(found.folder), f"--inventory={operator.ready.inventory}"]
    done = subprocess.run([INVOKE, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield operator
    operator.ready.inventory.with_name("accepted.jsonl").unlink()
    for name in HOSTS:
        operator.ready.lab[name].run(f"rm -f {SITE}; sysctl -qw net.ipv4.ip_forward=1")


def audited(operator: Operator, name: str, *words: str) -> Done:
    """All rows; again where a busy machine's host was late with an answer."""
    given = (f"--inventory={operator.ready.inventory}", f"--hosts={','.join(HOSTS)}",
             "--profile=extended", "--connect-timeout=60")  # fmt: skip
    for number in range(LOOKS):
        done = typed(operator.reports / f"{name}-{number}", *given, *words)
        unknown = {
            row.requirement for row in done.results.results if row.verdict is Verdict.UNKNOWN
        }
        if unknown <= NO_CLUSTER:
            break
    return done


def drift(done: Done) -> dict[RowKey, ChangeKind]:
    """What has changed since the accepted run, by row."""
    found = done.results.drift
    assert found, done.output
    assert found.comparison.same > 100
    return {RowKey(*change.row.key): change.kind for change in found.comparison.changes}


def test_untouched_hosts_do_not_drift_and_changed_ones_do(accepted: Operator) -> None:
    for number in range(UNTOUCHED):
        done = audited(accepted, f"untouched-{number}", "--drift")
        assert drift(done) == {}, done.output
        assert "\nno drift: " in done.output
    for name, change in CHANGES.items():
        accepted.ready.lab[name].run(change)
    done = audited(accepted, "changed", "--drift")
    assert drift(done) == {
        RowKey(HOSTS[1], "SYS-IP-FORWARD", "runtime"): ChangeKind.BROKEN,
        RowKey(HOSTS[1], "SYS-IP-FORWARD", "persisted"): ChangeKind.BROKEN,
        RowKey(HOSTS[0], "SYS-IP-FORWARD", "persisted"): ChangeKind.CHANGED,
    }, done.output
    assert "2 broken" in done.output
    assert "1 changed" in done.output
