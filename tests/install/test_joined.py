"""Hosts that have joined a cluster: what is printed and asked, and one at a time."""

import dataclasses
import threading
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import pytest
from rich.console import Console

from hale.apply import gates
from hale.apply.gates import GateClosed
from hale.apply.journal import Journal
from hale.apply.worker_gate import WorkerGate
from hale.install import joined, phase_run, plan_view, planning, scheduler, workflow
from hale.install.install_run import InstallRun
from hale.install.joined import InstallAborted, JoinedGate, confirm_changes
from hale.install.options import InstallOptions
from hale.install.phase import Observations, PhaseProblem
from hale.install.planning import PhaseStatus
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.ssh import SessionPool
from hale.standard import loader
from remediate.cluster.load_balancer import LoadBalancer
from tests.install import factories

PACKAGES = Path(__file__).parent / "phases" / "packages"

LEFT = PhaseStatus("runtime", "Container runtime", (PhaseProblem("differs", "m1"),))
KEPT = PhaseStatus("runtime", "R", differences=(PhaseProblem("x is left as it is\na line", "m1"),))


def confirm_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: PhaseStatus,
    *,
    yes: bool = False,
    phase: str = "",
) -> None:
    def statuses(*_: Any, again: bool) -> list[PhaseStatus]:
        assert again == bool(phase)
        return [status]

    monkeypatch.setattr(joined, "phase_statuses", statuses)
    options = InstallOptions(tmp_path, yes=yes, phase=phase)
    console = Console(highlight=False, soft_wrap=True)
    confirm_changes(
        options, factories.made(tmp_path), SessionPool({}), console, ["runtime"], {"m1", "w2"}
    )


def run_of(folder: Path, sessions: SessionPool) -> InstallRun:
    """A run of `invoke install` without options."""
    standard = loader.load_standard(ROOT / "standard")
    options = InstallOptions(reports=folder)
    return InstallRun(options, None, standard, factories.made(folder), sessions, folder, Console())


def test_without_a_terminal_nothing_is_changed_unless_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(UserError, match="nothing was changed: stdin is not a terminal"):
        confirm_once(tmp_path, monkeypatch, LEFT)
    printed = capsys.readouterr().out
    assert "These hosts have joined a cluster: m1, w2." in printed
    assert "remaining: m1: differs" in printed
    confirm_once(tmp_path, monkeypatch, LEFT, yes=True)
    assert "remaining: m1: differs" in capsys.readouterr().out


def test_a_phase_that_is_done_and_runs_again_is_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing remains, and `--phase` runs its steps all the same."""
    done = PhaseStatus("runtime", "Container runtime", steps=("m1: run containerd restarts",))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(joined, "confirm", lambda _: False)
    with pytest.raises(UserError, match=r"nothing was changed\."):
        confirm_once(tmp_path, monkeypatch, done, phase="runtime")
    assert "would do: m1: run containerd restarts" in capsys.readouterr().out
    confirm_once(tmp_path, monkeypatch, dataclasses.replace(done, steps=()), phase="runtime")


@pytest.mark.parametrize("now", [{"m1"}, {"m1", "m2", "w1"}, set[str]()])
def test_who_has_joined_is_read_again_under_the_lock(
    now: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    @contextmanager
    def locked(*_: Any) -> Iterator[Any]:
        held.append(True)
        yield Mock()

    def joined_now(*_: Any) -> frozenset[str]:
        assert held
        return frozenset(now)

    monkeypatch.setattr(phase_run, "exempt_phases", lambda *_: frozenset())
    monkeypatch.setattr(phase_run, "confirm_changes", lambda *_: frozenset())
    monkeypatch.setattr(phase_run, "locked_run", locked)
    monkeypatch.setattr(phase_run, "joined_hosts", joined_now)
    monkeypatch.setattr(phase_run, "Engine", lambda *_: pytest.fail("a phase runs"))
    with pytest.raises(UserError, match=r"^nothing was changed: .* joined or left a cluster"):
        phase_run.run_phases(
            run_of(tmp_path, SessionPool({})), ["runtime"], frozenset({"m1", "m2"})
        )


def test_a_no_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(joined, "confirm", lambda _: False)
    with pytest.raises(UserError, match="nothing was changed"):
        confirm_once(tmp_path, monkeypatch, LEFT)


def test_a_difference_alone_is_no_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    confirm_once(tmp_path, monkeypatch, KEPT)


class Health:
    """What the guards say, one answer a call; the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.calls = 0

    def __call__(self) -> Sequence[str]:
        self.calls += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def gate(health: Any) -> JoinedGate:
    return JoinedGate(frozenset({"m1", "m2", "w1"}), frozenset({"m1", "m2", "m3"}), health)


def test_an_unhealthy_cluster_closes_the_gate_of_a_master() -> None:
    closed = gate(Health(["etcd has lost m2"]))
    with (
        pytest.raises(UserError, match=r"m1 was not changed.*etcd has lost m2"),
        closed.changing("m1", lambda: False),
    ):
        raise AssertionError("it was changed")
    with closed.changing("w1", lambda: False):
        pass
    with closed.changing("m3", lambda: False):
        pass


def test_a_master_is_healthy_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health([], [])
    both = gate(health)
    changed: list[str] = []
    with both.changing("m1", lambda: False):
        other = threading.Thread(target=lambda: _change(both, "m2", changed))
        other.start()
        other.join(0.2)
        assert (changed, health.calls) == ([], 1)
    other.join(10)
    assert (changed, health.calls) == (["m2"], 4)


def _change(both: JoinedGate, host: str, changed: list[str]) -> None:
    with both.changing(host, lambda: False):
        changed.append(host)


def test_while_a_master_is_missing_the_others_are_judged() -> None:
    """Of three masters m3 has not joined, or has lost its disk."""
    present = frozenset({"m1", "m2"})
    unhealthy = JoinedGate(present, present, Health(["HA-ETCD on m2: FAIL, x"]), complete=False)
    with (
        pytest.raises(UserError, match=r"m1 was not changed: the cluster is unhealthy.*m2"),
        unhealthy.changing("m1", lambda: False),
    ):
        raise AssertionError("it was changed")
    healthy = JoinedGate(present, present, Health([]), complete=False)
    with (
        pytest.raises(UserError, match=r"with 2 control-plane node.s. etcd would lose quorum"),
        healthy.changing("m1", lambda: False, "containerd restarts"),
    ):
        raise AssertionError("it was changed")
    with healthy.changing("m1", lambda: False):
        pass


def test_a_load_balancer_that_names_a_missing_master_is_not_awaited() -> None:
    """Its backends cannot all be up before that one has joined."""
    failing = Health(["HA-LB-BACKENDS on m1: FAIL, m3 is down"])
    present = frozenset({"m1", "m2"})
    added = JoinedGate(
        present, present, failing, complete=False, remediated=LoadBalancer.REMEDIATES
    )
    with added.changing("m1", lambda: False, awaited={"HA-LB-BACKENDS"}):
        pass
    assert failing.calls == 2


@pytest.mark.parametrize(
    ("present", "judged", "complete"),
    [
        ({"m1", "m2", "m3"}, ["m1", "m2", "m3"], True),
        ({"m1", "m2", "w1"}, ["m1", "m2"], False),
        ({"w1"}, [], False),
    ],
)
def test_the_gate_judges_the_masters_that_have_joined(
    present: set[str],
    judged: list[str],
    complete: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    requested: list[list[str]] = []
    begun = frozenset({("readyz", "m1")})
    monkeypatch.setattr(phase_run, "unfinished", lambda *_: begun)

    def health(inventory: Any, standard: Any, sessions: Any, hosts: list[str]) -> list[str]:
        requested.append(hosts)
        return ["x"]

    monkeypatch.setattr(gates, "health_problems", health)
    made = phase_run._joined_gate(
        run_of(tmp_path, SessionPool({})),
        SessionPool({}),
        cast("Journal", None),
        ["readyz"],
        frozenset(present),
        frozenset(),
    )
    assert made.unhealthy() == ["x"]
    assert (requested, made.complete, made.masters) == ([judged], complete, frozenset(judged))
    assert made.unfinished == (frozenset() if complete else begun)
    assert made.settling == {"CMP-COREDNS"}


def test_with_fewer_than_three_masters_none_is_interrupted() -> None:
    two = JoinedGate(frozenset({"m1", "m2"}), frozenset({"m1", "m2"}), Health([]))
    with (
        pytest.raises(UserError, match=r"m1 was not changed: containerd restarts interrupts this"),
        two.changing("m1", lambda: False, "containerd restarts"),
    ):
        raise AssertionError("it was changed")
    with two.changing("m1", lambda: False):
        pass


@pytest.mark.parametrize(
    ("problem", "open_"),
    [
        ("HA-LB-BACKENDS on m1: FAIL, haproxy does not run", True),
        ("HA-LB-BACKENDS on m2: FAIL, haproxy does not run", True),
        ("HA-ETCD-MEMBERS on cluster: FAIL, m2 is not healthy", False),
        ("CMP-KUBELET on m2: FAIL, it does not run", False),
    ],
)
def test_a_change_may_remediate_the_guard_that_fails(problem: str, open_: bool) -> None:
    """A stopped haproxy or containerd on a master is started while its guard fails."""
    stopped = dataclasses.replace(gate(Health([problem])), remediated=LoadBalancer.REMEDIATES)
    if open_:
        with stopped.changing("m1", lambda: False):
            return
    with (
        pytest.raises(UserError, match="m1 was not changed: the cluster is unhealthy"),
        stopped.changing("m1", lambda: False),
    ):
        raise AssertionError("it was changed")


@pytest.mark.parametrize(
    ("problem", "waits"),
    [
        ("HA-LB-BACKENDS on m1: FAIL, haproxy does not run", True),
        ("HA-LB-BACKENDS on m2: FAIL, haproxy does not run", False),
        ("HA-APISERVER-VIP on m1: FAIL, it does not answer", False),
        ("HA-VIP-OWNER on cluster: FAIL, no host has it", False),
    ],
)
def test_what_the_change_brings_about_must_pass_before_the_next_master(
    problem: str, waits: bool
) -> None:
    """A wrong haproxy.cfg stops at the first one, though every haproxy was stopped before it."""
    stopped = dataclasses.replace(gate(Health([problem])), remediated=LoadBalancer.REMEDIATES)
    failures: list[str] = []

    def change() -> None:
        stop = iter([False, True, True, True])  # nothing is waited for
        with stopped.changing(
            "m1",
            lambda: next(stop),
            failed=lambda: failures.append("m1"),
            awaited={"HA-LB-BACKENDS"},
        ):
            pass

    if waits:
        with pytest.raises(UserError, match=f"after a change of m1: .*still unhealthy: {problem}"):
            change()
    else:
        change()
    assert failures == (["m1"] if waits else [])


def test_a_worker_is_changed_as_by_fix() -> None:
    """Through the worker's gate, which drains it where a step interrupts."""
    calls: list[tuple[str, bool]] = []

    class Gate:
        @contextmanager
        def changing(self, name: str, *, interrupts: bool) -> Iterator[None]:
            calls.append((name, interrupts))
            yield
            raise GateClosed("w1 is still unhealthy")

    workers = dataclasses.replace(
        gate(Health([])), worker_gate=lambda give_up: cast("WorkerGate", Gate())
    )
    with (
        pytest.raises(UserError, match="after a change of w1: w1 is still unhealthy"),
        workers.changing("w1", lambda: False, "containerd restarts"),
    ):
        pass
    assert calls == [("w1", True)]


@pytest.mark.parametrize("host", ["m1", "w1"])
def test_a_host_that_waited_for_its_turn_is_not_checked_once_the_run_stops(host: str) -> None:
    health = Health([])
    stopped = dataclasses.replace(
        gate(health), worker_gate=lambda give_up: pytest.fail("the worker is audited and drained")
    )
    with pytest.raises(InstallAborted), stopped.changing(host, lambda: True, "containerd restarts"):
        raise AssertionError("it was changed")
    assert health.calls == 0


ALL = {"m1", "m2", "m3", "w1", "w2"}


@pytest.mark.parametrize(
    ("present", "adds"),
    [
        (ALL, False),
        (ALL - {"w2"}, True),
        (ALL - {"m3"}, False),
        (ALL - {"m3", "w2"}, False),
        ({}, False),
    ],
)
def test_when_a_run_only_adds_workers(tmp_path: Path, present: set[str], adds: bool) -> None:
    assert joined.only_adds_workers(factories.made(tmp_path), present) == adds


def test_who_has_joined_is_observed_on_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = []

    def observe(requests: Sequence[Any], _: Any) -> tuple[Observations, ...]:
        (request,) = requests
        rounds.append([h.name for h in request.site.hosts])
        outputs = {
            h.name: {"joined.kubelet": "joined" if h.is_master else ""} for h in request.site.hosts
        }
        return (factories.observed(outputs, {}),)

    monkeypatch.setattr(joined, "observe", observe)
    found = joined.joined_hosts(factories.made(tmp_path), SessionPool({}))
    assert found == {"m1", "m2", "m3"}
    assert rounds == [["m1", "m2", "m3", "w1", "w2"]]


CA = "/etc/haproxy/apiserver-ca.crt"
BEFORE, AFTER = "verify none", f"verify required ca-file {CA}"


@pytest.mark.parametrize(
    ("haproxy", "check", "by_hale", "unfinished"),
    [
        (AFTER, f"--cacert {CA}", True, False),
        (BEFORE, "nc -z", True, True),
        # Interrupted within it: the CA and haproxy.cfg are there, keepalived's check is not.
        (AFTER, "nc -z", True, True),
        (BEFORE, "nc -z", False, False),
        (None, None, False, False),
    ],
)
def test_other_hosts_are_not_changed_while_a_worker_is_added(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    haproxy: str | None,
    check: str | None,
    by_hale: bool,
    unfinished: bool,
) -> None:
    """All that prepares hosts; but health checks that a first install had not come to yet."""
    there = {"/etc/haproxy/haproxy.cfg": haproxy, "/etc/keepalived/check-apiserver": check}
    files = {path: text for path, text in there.items() if text is not None}
    if haproxy == AFTER:
        files[CA] = "-----BEGIN CERTIFICATE-----"
    lines = [f"abc 644 1.0 {path}" for path in files]
    if by_hale:
        lines += [f"hale {path}" for path in files]

    def observe(requests: Sequence[Any], _: Any) -> list[Observations]:
        outputs = {h: {"written.files": "\n".join(lines)} for h in ALL}
        return [factories.observed(outputs, dict.fromkeys(ALL, files)) for _ in requests]

    monkeypatch.setattr(joined, "observe", observe)
    site = factories.made(tmp_path)
    names = scheduler.phase_names()
    rest = joined.exempt_phases(site, SessionPool({}), names, ALL - {"w2"})
    assert {host for _, host in rest} == ALL - {"w2"}
    phases = {"packages", "runtime", "images", "load_balancer", "readyz"}
    changed = {"readyz"} if unfinished else set()
    assert {phase for phase, host in rest if host == "m1"} == phases - changed
    assert {phase for phase, host in rest if host == "w1"} == phases
    assert joined.exempt_phases(site, SessionPool({}), names, ALL) == frozenset()


def test_a_host_joins_only_after_all_that_prepares_it(tmp_path: Path) -> None:
    """A master that had joined without its load balancer would be left alone from then on, while
    workers are missing. The health checks need the cluster's CA, so they come later."""
    site = factories.made(tmp_path)
    preparing = {n for n in scheduler.phase_names() if scheduler.load_phase(n).PREPARES_HOSTS}
    for name, host in (("init", "m1"), ("masters", "m2"), ("masters", "m3")):
        group = host if scheduler.load_phase(name).HOST_GROUPS else ""
        before, new = set(), {scheduler.PhaseTask(name, group)}
        while new:
            before |= new
            new = set().union(*(scheduler.dependencies(task, site) for task in new)) - before
        own = {task.phase for task in before if task.group == host and task.phase in preparing}
        assert own == preparing - {"readyz"}, name


def test_every_phase_in_host_groups_says_whether_it_prepares_hosts() -> None:
    """One that forgets it would touch all nodes when a worker is added. A join is no preparation:
    of a node that has joined, nothing remains."""
    phases = [scheduler.load_phase(name) for name in scheduler.phase_names()]
    assert [p.name for p in phases if p.HOST_GROUPS and not p.PREPARES_HOSTS] == ["masters"]


def test_a_single_phase_leaves_no_host_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--phase runtime` is to be run where it remains, also while a worker is missing."""
    site = factories.made(tmp_path)
    monkeypatch.setattr(
        joined, "observe", lambda requests, _: [factories.observed({}, {}) for _ in requests]
    )
    assert joined.exempt_phases(site, SessionPool({}), ["runtime"], ALL - {"w2"})
    assert not joined.only_adds_workers(site, ALL - {"w2"}, "runtime")
    found = joined.exempt_phases(site, SessionPool({}), ["runtime"], ALL - {"w2"}, "runtime")
    assert found == frozenset()


@pytest.mark.parametrize(("phase", "alone"), [("", True), ("runtime", False)])
def test_install_and_its_plan_leave_hosts_alone_by_phase(
    phase: str, alone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = factories.made(tmp_path).inventory.path
    options = InstallOptions(reports=tmp_path / "reports", inventory=inventory, phase=phase)
    rest: list[bool] = []

    class Noted(Exception):
        pass

    def note(*given: Any, again: bool = False) -> None:
        assert again == (bool(phase) and len(rest) == 1), "the plan has what --phase runs again"
        rest.append(bool(given[-1]))
        raise Noted

    monkeypatch.setattr(
        joined, "observe", lambda requests, _: [factories.observed({}, {}) for _ in requests]
    )
    for module in (workflow, plan_view):
        monkeypatch.setattr(module, "check_reachable", lambda _: None)
        monkeypatch.setattr(module, "joined_hosts", lambda *_: ALL - {"w2"})
    monkeypatch.setattr(plan_view, "unsupported", lambda *_: ())
    monkeypatch.setattr(workflow, "pass_gate", lambda *_: True)
    monkeypatch.setattr(plan_view, "_print_gate", lambda *_: None)
    monkeypatch.setattr(phase_run, "confirm_changes", note)
    monkeypatch.setattr(plan_view, "phase_statuses", note)
    for run in (workflow.install_cluster, plan_view.print_plan):
        with pytest.raises(Noted):
            run(options)
    assert rest == [alone, alone]


def test_exempt_hosts_are_reported_and_have_no_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is added to hosts whose packages are not as the inventory has them."""
    case = tomllib.loads((PACKAGES / "bare.toml").read_text())
    everywhere = case["outputs"].pop("*")
    observed = factories.observed({h: everywhere | case["outputs"].get(h, {}) for h in ALL}, {})
    monkeypatch.setattr(planning, "observe", lambda *_: [observed])
    rest = frozenset(("packages", host) for host in ALL - {"w2"})
    (status,) = planning.phase_statuses(
        factories.made(tmp_path), SessionPool({}), ["packages"], rest
    )
    assert {p.host for p in status.remaining} == {"w2"}
    assert {p.host for p in status.differences} == ALL - {"w2"}
    assert "left as it is, because this run only adds workers" in str(status.differences[0])
    assert status.steps
    assert all(step.startswith("w2: ") for step in status.steps)
