"""Hosts of the lab that comply and are in no cluster, and what plans, applies and undoes there.

All is done by the functions that `invoke fix` and `invoke undo` call, over the operator's own
connections; only the audits in between are the faults' engine, which takes 0.4 s and not 2.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from hale.apply import cluster_lock, journal, undo
from hale.apply.gates import NodeStatus
from hale.apply.journal import Journal, RunHeader, RunHistory, now
from hale.apply.lock import Owner
from hale.apply.runner import PlanRunner
from hale.audit.audit import Audit
from hale.model.results import RowKey
from hale.plan import plan, planner
from hale.plan.plan import FailedCase, HostPlan, Plan
from hale.ssh import SessionPool
from lab.faults import baseline
from lab.machine import Lab
from tests.faults import audit

# What these hosts cannot have: no cluster, so no apiserver and no etcd.
NO_CLUSTER = {
    "HA-APISERVER-VIP",
    "HA-ETCD-MEMBERS",
    "ID-PRODUCT-UUID",
    *(row.requirement for row in baseline.NO_CLUSTER),
}

LOOKS = 3

# All that a remedy could change on a disk; directories without their time of change.
_LISTING = r"""
cd /
find etc usr/lib/systemd usr/lib/sysctl.d usr/lib/modules-load.d usr/lib/modprobe.d \
  \( -type d -printf '%p %M %U %G\n' \) -o \( -type l -printf '%p %M %U %G %l\n' \) -o \
  -printf '%p %M %U %G %s %T@\n' 2>/dev/null | sort
find etc -xdev -type f -print0 | sort -z | xargs -0 sha256sum
getfacl -pR etc/hosts etc/security etc/sysctl.d 2>/dev/null || true
"""
_UNITS = r"""
systemctl list-unit-files --no-legend --no-pager | sed 's/  */ /g' | grep -v '^session-\|^user-'
# firewalld's or chrony's start before the power cut had these reached, and only a boot ends that.
systemctl list-units --no-legend --plain --no-pager --type=swap,target |
  sed 's/  */ /g' | cut -d' ' -f1,3 | grep -v '^\(network-pre\|time-set\|time-sync\)[.]target '
systemctl is-active firewalld
true
"""


class Ready:
    """The lab's hosts, ready to be harmed and mended."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.inventory = folder / "inventory.ini"
        self._make_hosts()
        self.engine = audit.Engine(self.inventory)
        self.sessions = SessionPool(self.engine.targets)
        self.before = self.rows()
        self._runs = 0

    def _make_hosts(self) -> None:
        baseline.fresh(self.lab)
        baseline.make(self.lab, self.inventory)
        for host in self.lab.hosts:  # a CA's certificate says that the host has joined a cluster
            host.run("rm -r /etc/kubernetes; systemctl --quiet disable --now stand-in || true")

    def remake(self) -> None:
        """Hosts that keep nothing of a test that failed half-way: the next one is not red by it."""
        self.close()
        self._make_hosts()

    def rows(self, hosts: str = "all") -> audit.Rows:
        """Every row's verdict, over new connections. hosts: as of `--hosts`."""
        return self.engine.rows(self._look(hosts))

    def _look(self, hosts: str) -> Audit:
        """Over new connections. A busy machine's host may be late with an answer: what is unknown
        is asked for again, twice; what fails is not."""
        for _ in range(LOOKS):
            found = self.engine.asked(hosts)
            judged_row = self.engine.rows(found).items()
            if not any(
                s.verdict == "UNKNOWN" and r.requirement not in NO_CLUSTER for r, s in judged_row
            ):
                break
        return found

    def red(self, found: audit.Rows) -> dict[RowKey, audit.JudgedRow]:
        """Rows that are not as a compliant host's, as far as there can be one here."""
        return {
            row: judged_row
            for row, judged_row in found.items()
            if row.requirement not in NO_CLUSTER and judged_row.verdict not in ("PASS", "N-A")
        }

    def plan(self, hosts: Sequence[str], only: Sequence[str] = ()) -> Plan:
        """As `invoke fix` makes it, for what is red now."""
        return self._plan(self._look(",".join(hosts)), hosts, only)

    def rows_and_plan(self, hosts: Sequence[str]) -> tuple[audit.Rows, Plan]:
        """`rows` and `plan` by the same answers."""
        found = self._look(",".join(hosts))
        return self.engine.rows(found), self._plan(found, hosts)

    def _plan(self, found: Audit, hosts: Sequence[str], only: Sequence[str] = ()) -> Plan:
        self.sessions.close()  # of before a power cut, if there was one

        def of_host(name: str) -> HostPlan:
            red = []
            for case in found.cases:
                if case.host_name != name or case.requirement.id in NO_CLUSTER:
                    continue
                if only and case.requirement.id not in only:
                    continue
                judged_row = audit.judged(found, case)
                if judged_row.verdict == "FAIL":
                    red.append(FailedCase(case, found.judge(case).fact))
            reader = planner.file_reader(self.sessions, name)
            return plan.build_host_plan(name, "", red, (), reader)

        with ThreadPoolExecutor(len(hosts)) as side_by_side:
            made = tuple(side_by_side.map(of_host, hosts))
        return plan.with_checksum(
            Plan(
                schema=plan.SCHEMA,
                author="test",
                created=now(),
                inventory=str(self.inventory),
                inventory_sha256="",
                standard_sha256="",
                profile=audit.PROFILE,
                hosts=made,
            )
        )

    def apply(
        self, made: Plan, kind: str = "fix", of: str = "", trial: int = 0
    ) -> tuple[RunHistory, PlanRunner]:
        """Carry a plan out, on trial for so many seconds; its journal, and the run."""
        self._runs += 1
        folder = self.folder / f"run-{self._runs:04}-{kind}"
        folder.mkdir()
        leader = carry_out(made, self.sessions, self.inventory, folder, kind, of, trial)
        return journal.load_run(folder), leader

    def carry_out_in(self, made: Plan, folder: Path) -> PlanRunner:
        """Carry a plan out with a journal in that folder."""
        return carry_out(made, self.sessions, self.inventory, folder, "fix")

    def take_back(self, history: RunHistory, *, force: bool = False) -> tuple[Plan, list[str]]:
        """The plan that takes a run back, and what was changed since."""
        hosts = list(dict.fromkeys(host for host, _ in history.begun))
        made = undo.build_undo_plan(history, hosts, audit.PROFILE, {})
        return undo.with_diffs(made, history, self.sessions, force=force)

    def power_cycle(self, hosts: Sequence[str]) -> None:
        """Cut the hosts' power; connections to them are gone."""
        self.sessions.close()
        with ThreadPoolExecutor(len(hosts)) as side_by_side:
            list(side_by_side.map(lambda name: self.lab[name].power_cycle(), hosts))

    def listing(self, host: str) -> list[str]:
        """Bytes, modes, owners, times, links and ACLs of what a remedy could change."""
        return self.lab[host].run(_LISTING).stdout.decode(errors="replace").splitlines()

    def units(self, host: str) -> list[str]:
        """What systemd says of its units."""
        return self.lab[host].run(_UNITS).stdout.decode(errors="replace").splitlines()

    def close(self) -> None:
        """End all connections."""
        self.sessions.close()
        self.engine.close()


def carry_out(
    made: Plan,
    sessions: SessionPool,
    path: Path,
    folder: Path,
    kind: str,
    of: str = "",
    trial: int = 0,
) -> PlanRunner:
    """The run of a plan on hosts that are in no cluster, with locks and journal."""
    plan.save_plan(made, folder / "plan.json")
    owner = Owner("test", "here", f"{folder.parent.name}-{folder.name}", now())
    header = RunHeader(journal.SCHEMA, owner.run, kind, "test", "here", str(path), "", now(), of)
    hosts = [h.host for h in made.hosts]
    with _locked(sessions, hosts, owner):
        book = Journal(folder, header)
        try:
            leader = PlanRunner(
                made,
                sessions,
                folder,
                book,
                owner,
                {h: NodeStatus(master=False, joined="") for h in hosts},
                dict.fromkeys(hosts, "workers"),
                lambda hosts: [],
                lambda host, judged_row: None,
                trial_seconds=trial,
            )
            leader.run()
        finally:
            book.close()
    return leader


@contextmanager
def _locked(sessions: SessionPool, hosts: Sequence[str], owner: Owner) -> Iterator[None]:
    held = cluster_lock.acquire_all(
        sessions, hosts, hosts, owner, stale=False, report=lambda host, judged_row: None
    )
    try:
        yield
    finally:
        cluster_lock.release_all(sessions, held, owner)


def steps(made: Plan) -> list[str]:
    """The plan's steps in words, without hosts."""
    return [step.change.describe() for host in made.hosts for step in host.steps]


def plan_text(made: Plan) -> str:
    """The plan as `invoke fix` prints it."""
    return "\n".join(planner.render(made)) + "\n"
