"""The audit that ends an install: of a cluster that has settled."""

from collections.abc import Collection, Sequence

from hale.apply import gates
from hale.audit import recorder
from hale.install.install_run import InstallRun
from hale.install.scheduler import load_phase
from hale.model.requirement import Guard, Profile
from hale.model.results import Result
from hale.polling import wait_until
from hale.report.audits import audit
from hale.report.text import escape_controls
from hale.standard.loader import Standard

# Seconds: how long each wait for a cluster that is not healthy lasts at most, and between looks.
SETTLE_TIMEOUT, SETTLE_INTERVAL = 60.0, 2.0
AUDITS = 3  # the last of them counts


def settling(standard: Standard, phases: Sequence[str]) -> frozenset[str]:
    """The requirements that a cluster may fail for a moment after these phases: those that guard a
    change, and those that the phases are for."""
    guards = {r.id for r in standard.guarding(Guard.CHANGE)}
    return frozenset(guards).union(*(load_phase(name).REMEDIATES for name in phases))


def audit_cluster(run: InstallRun, phases: Sequence[str]) -> bool:
    """Whether everything passes, except for the ignored requirements.

    phases: that have run; without any, there is one audit. After phases it waits until the cluster
    has settled: an apiserver is not ready for a moment while etcd takes another member in, and a
    load balancer wants several good answers before it sends traffic there again (haproxy's `rise`).
    On a busy machine a row that passed in the wait may fail in the audit (etcd answers late), so an
    audit that finds the cluster unhealthy after that is repeated. Each has a folder of its own.
    Raises UserError.
    """
    awaited = settling(run.standard, phases) - set(run.ignored) if phases else frozenset()
    for remaining in reversed(range(AUDITS)):
        settled = not awaited or _settle(run, awaited)
        found = judge(run)
        failed = [r for r in found if r.verdict.failed and r.requirement not in run.ignored]
        unsettled = gates.unhealthy(failed, awaited) if awaited else []
        if not (failed and settled and unsettled and remaining):
            return not failed
        print(
            f"  the audit is repeated, because the cluster was healthy before: "
            f"{escape_controls(gates.naming(unsettled))}",
            flush=True,
        )
    raise AssertionError("the last audit counts")


def judge(run: InstallRun) -> Sequence[Result]:
    """An audit of all hosts by the baseline, in a folder of its own. Raises UserError."""
    audited = audit(
        recorder.create_run_dir(run.folder, "audit"),
        run.inventory,
        run.standard,
        Profile.BASELINE,
        sessions=run.sessions,
        show=True,
    )
    return audited.results.results


def _settle(run: InstallRun, awaited: Collection[str]) -> bool:
    """Give the cluster SETTLE_TIMEOUT to become healthy, and print for what it waits."""
    named = ""
    hosts = [h.name for h in run.inventory.hosts]

    def problems() -> list[str]:
        nonlocal named
        found = gates.health_problems(run.inventory, run.standard, run.sessions, hosts, awaited)
        if found and (text := gates.naming(found)) != named:
            print(f"  waiting: {escape_controls(named := text)}", flush=True)
        return found

    return not wait_until(problems, SETTLE_TIMEOUT, SETTLE_INTERVAL)
