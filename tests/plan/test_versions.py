"""A remedy wants the values of the version that runs on the host, not of the planned one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from hale.audit.run import AuditResult, run_record
from hale.files.provenance import GitRevision
from hale.model.results import SCHEMA, HostRecord, Results
from hale.model.verdict import Verdict
from hale.plan import planner
from hale.ssh import SessionPool
from tests.engine.answers import answered, audit, case_of, inventory


def test_the_plan_has_the_values_of_the_version_that_runs(tmp_path: Path) -> None:
    run = audit(inventory(tmp_path, "kubernetes_version=1.34.4"))
    answered(run, "kubelet running Kubernetes v1.35.1\nnode\n")
    row = run.judge(case_of(run, "OS-RELEASE")).result
    assert row.verdict is Verdict.FAIL
    record = run_record(run, GitRevision(), [], "all", 0.0)
    found = Results(SCHEMA, record, [HostRecord("w1")], [row], [])
    sessions: Any = SimpleNamespace(targets={"w1": None})
    made = planner.build_plan(AuditResult(run, found, tmp_path), cast("SessionPool", sessions))
    shown = "\n".join(planner.render(made))
    assert "CentOS Stream 8" in shown
    assert "none of CentOS Stream 9, Debian GNU/Linux 12" in " ".join(shown.split())
    assert "with kernel 5.8" in shown or "older than 5.8" in shown
