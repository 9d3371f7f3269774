"""The last phase of an install: an audit of all hosts and of the cluster."""

from hale.apply import gates
from hale.audit import recorder
from hale.install.install_run import InstallRun
from hale.model.requirement import Profile
from hale.polling import wait_until
from hale.report.audits import audit
from hale.report.text import escape_controls

# Seconds: how long the audit waits for a cluster that is not healthy yet, and between looks.
SETTLE_TIMEOUT, SETTLE_INTERVAL = 60.0, 2.0


def await_health(run: InstallRun) -> None:
    """Give the cluster SETTLE_TIMEOUT to become healthy; the audit then judges it as it is.

    An apiserver is not ready for a moment while etcd takes another member in, and a load balancer
    wants several good answers before it sends traffic there again (haproxy's `rise`).
    """
    named = ""

    def problems() -> list[str]:
        nonlocal named
        found = [
            p
            for p in gates.cluster_problems(run.inventory, run.standard, run.sessions)
            if gates.requirement_of(p) not in run.ignored
        ]
        if found and (text := gates.naming(found)) != named:
            print(f"  waiting: {escape_controls(named := text)}", flush=True)
        return found

    wait_until(problems, SETTLE_TIMEOUT, SETTLE_INTERVAL)


def audit_passes(run: InstallRun) -> bool:
    """Whether everything passes, except the ignored requirements."""
    audited = audit(
        recorder.create_run_dir(run.folder, "audit"),
        run.inventory,
        run.standard,
        Profile.BASELINE,
        sessions=run.sessions,
        show=True,
    )
    found = audited.results.results
    return not [r for r in found if r.verdict.failed and r.requirement not in run.ignored]
