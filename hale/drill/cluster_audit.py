"""Audits of the cluster before, between and after faults: its health and its roles."""

import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hale.apply.gates import HEALTH_TIMEOUT, POLL_INTERVAL, unhealthy
from hale.audit.audit import Audit
from hale.audit.run import AuditResult
from hale.drill.fault import ClusterRoles
from hale.inventory.ini import Inventory
from hale.model.drill import GUARDED_SUBJECTS, FaultKind
from hale.model.errors import UserError
from hale.model.requirement import Aspect, Guard, Profile
from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.polling import wait_until
from hale.report.audits import audit
from hale.ssh import SessionPool, Target
from hale.standard import loader
from hale.standard.loader import Standard


def audit_cluster(
    known: Inventory,
    folder: Path,
    targets: Mapping[str, Target],
    kinds: Collection[FaultKind] = (),
) -> AuditResult:
    """Audit what the cluster must meet for these drills, and its roles, into folder.

    Over new sessions. Raises UserError.
    """
    folder.mkdir()
    standard = loader.load_standard(ROOT / "standard")
    roles = {r.id for r in standard.requirements if r.subject in ("address", "etcd")}
    drilled = {r.id for r in standard.requirements if "drill" in r.aspects}
    with SessionPool(targets) as sessions:
        return audit(
            folder,
            known,
            standard,
            Profile.BASELINE,
            requirements=drill_guards(standard, kinds) | roles | drilled,
            sessions=sessions,
        )


def drill_guards(standard: Standard, kinds: Collection[FaultKind] = ()) -> frozenset[str]:
    """Ids of the requirements that the cluster must meet before and after these drills.

    The drill of a component adds those of its subject.
    """
    subjects = {GUARDED_SUBJECTS[kind] for kind in kinds if kind in GUARDED_SUBJECTS}
    own = {r.id for r in standard.requirements if r.subject in subjects}
    return frozenset(r.id for r in standard.guarding(Guard.DRILL)) | own


def is_inconclusive(before: Results) -> bool:
    """Whether some results are UNKNOWN and none is FAIL."""
    verdicts = {r.verdict for r in before.results if r.aspect == Aspect.RUNTIME}
    return Verdict.UNKNOWN in verdicts and Verdict.FAIL not in verdicts


def require_healthy(before: Results, guards: Collection[str]) -> None:
    """Raises UserError if the cluster is unhealthy: no fault may be injected into it."""
    if failed := unhealthy(before.results, guards):
        more = f" (and {len(failed) - 5} more results)" if len(failed) > 5 else ""
        raise UserError(
            "no fault was injected, because the cluster is unhealthy: "
            + "; ".join(failed[:5])
            + f"{more}. See `pytest --hosts=all -m 'chapter1 or chapter2'` and fix it first."
        )


def find_roles(judged: Audit) -> ClusterRoles:
    """The VIP's owner and the host of etcd's leader. Raises UserError if the owner is unclear."""
    owners, leaders = [], []
    for case in judged.cases:
        subject = case.requirement.subject
        if case.aspect is not Aspect.RUNTIME or subject not in ("address", "etcd"):
            continue
        found: Any = judged.judge(case).fact
        if found is None:
            continue
        if subject == "address" and case.host is not None and found.vip_on:
            owners.append(case.host.name)
        if subject == "etcd":
            leaders += [v.host for v in found.statuses if v.id == v.leader]
    masters = {h.name for h in judged.inventory.masters}
    owners = [h for h in owners if h in masters]
    if len(set(owners)) != 1 and judged.inventory.endpoint.kind != "external":
        raise UserError(
            f"expected exactly one VIP owner, found {' and '.join(owners) or 'none'}; no fault was "
            "injected."
        )
    return ClusterRoles(owners[0] if owners else "", leaders[0] if leaders else "")


def wait_until_healthy(
    known: Inventory,
    targets: Mapping[str, Target],
    folder: Path | None = None,
    kinds: Collection[FaultKind] = (),
) -> tuple[list[str], Audit | None]:
    """Audit until the cluster is healthy, for up to HEALTH_TIMEOUT; returns failures and the audit.

    folder: where the last audit is kept, as `after`.
    """
    judged: Audit | None = None

    with tempfile.TemporaryDirectory(prefix="hale-") as place:
        latest = Path(place) / "after"

        def check() -> list[str]:
            nonlocal judged
            shutil.rmtree(latest, ignore_errors=True)
            try:
                audited = audit_cluster(known, latest, targets, kinds)
                judged = audited.audit
            except (UserError, OSError) as error:  # a full disk, say: the drill still ends in order
                return [str(error)]
            return unhealthy(audited.results.results, drill_guards(judged.standard, kinds))

        failures = wait_until(check, HEALTH_TIMEOUT, POLL_INTERVAL)
        if folder is not None and latest.exists():
            shutil.move(latest, folder / "after")
    return failures, judged
