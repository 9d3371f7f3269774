"""A worker of a living cluster around a change, with a kubectl that is a function of the test."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from hale.apply import gates, journal, recovery, worker_gate
from hale.apply.cluster_nodes import ApiUnavailable, ClusterNodes, node_of, parse_nodes
from hale.apply.gates import BatchSize, GateClosed, NodeStatus
from hale.apply.journal import Journal, NodeCordoned, RunHeader, now
from hale.apply.lock import Owner
from hale.apply.runner import PlanRunner
from hale.apply.worker_gate import DrainOptions, WorkerGate
from hale.plan.plan import HostPlan, Plan
from hale.ssh import CommandResult, ConnectionLost, SessionPool
from tests.apply.test_gates import LOUD

NODES = (
    "m1 [] [True] [NoSchedule] 10.0.0.1 m1 \n"
    "w1 [] [True] [] 10.0.0.4 w1 \n"
    "w2 [] [True] [] 10.0.0.5 w2 \n"
)
BUDGET = (
    'error when evicting pods/"shop" -n "default" (will retry after 5s): Cannot evict pod as it '
    "would violate the pod's disruption budget.\nglobal timeout reached: 1s\n"
)
BARE = (
    "node/w1 cordoned\nThere are pending nodes to be drained:\n w1\ncannot delete Pods that "
    "declare no controller (use --force to override): default/bare\n"
)
Answer = tuple[int, str, str] | Exception


@dataclass
class Cluster:
    """Stands for the sessions of a pool: every command is a kubectl, answered by its subcommand."""

    nodes: str = NODES
    drain: Callable[[], Answer] = lambda: (0, "", "")
    uncordon: Callable[[], Answer] = lambda: (0, "", "")
    dead: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    stopped: bool = False
    options: DrainOptions = field(default_factory=lambda: DrainOptions(timeout=1))

    def on_session(self, host: str, action: Callable[[Any], CommandResult]) -> CommandResult:
        if host in self.dead:
            raise ConnectionLost(f"{host}: lost")
        self._host = host
        return action(self)

    def run(self, command: str, timeout: float) -> CommandResult:
        verb = command.split("--cache-dir /dev/null ")[1].split()[0]
        self.calls.append(f"{self._host} {verb}")
        answer: Answer = (0, self.nodes, "")
        if verb != "get":
            answer = self.drain() if verb == "drain" else self.uncordon()
        if isinstance(answer, Exception):
            raise answer
        status, out, err = answer
        return CommandResult(status, out.encode(), err.encode(), 0.0)

    def gate(self, book: Journal) -> WorkerGate:
        pool = cast("SessionPool", self)
        return WorkerGate(
            ClusterNodes(pool, ("m1", "m2")),
            self.options,
            {"w1": "10.0.0.4"},
            lambda hosts: self.problems,
            book,
            lambda host, text: self.reports.append(text),
            lambda: self.stopped,
        )

    def cordons(self) -> list[str]:
        """The subcommands that change a node, in order."""
        return [c.split()[1] for c in self.calls if not c.endswith(" get")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_gate, "_DRAIN_PAUSE", 0.01)
    monkeypatch.setattr(worker_gate, "_UNCORDON_INTERVAL", 0.01)
    monkeypatch.setattr(worker_gate, "_UNCORDON_TIMEOUT", 0.05)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Journal]:
    header = RunHeader(journal.SCHEMA, "r", "fix", "me", "here", "inventory.ini", "", now())
    with closing(Journal(tmp_path, header)) as made:
        yield made


def change(cluster: Cluster, book: Journal, during: Callable[[], None] = lambda: None) -> None:
    with cluster.gate(book).changing("w1", interrupts=True):
        during()


def open_cordons(book: Journal, tmp_path: Path) -> dict[str, str]:
    book.close()
    return journal.load_run(tmp_path).cordoned


def test_it_is_drained_and_uncordoned(book: Journal, tmp_path: Path) -> None:
    cluster = Cluster()
    change(cluster, book)
    assert cluster.cordons() == ["drain", "uncordon"]
    assert cluster.reports == ["w1 cordoned and drained", "w1 uncordoned"]
    assert open_cordons(book, tmp_path) == {}


def test_a_node_that_was_cordoned_before_stays_so(book: Journal) -> None:
    cluster = Cluster(NODES.replace("w1 []", "w1 [true]"))
    change(cluster, book)
    assert cluster.cordons() == ["drain"]
    refused = Cluster(cluster.nodes, lambda: (1, "", BUDGET))
    with pytest.raises(GateClosed, match="disruption budget"):
        change(refused, book)
    assert "uncordon" not in refused.cordons()


@pytest.mark.parametrize(
    ("text", "match", "tries"),
    [
        (BUDGET, r"was not drained within 1 s: .*disruption budget.*--drain-timeout", 2),
        (BARE, r"cannot be drained: cannot delete Pods.*default/bare.*; delete that pod", 1),
        ("The connection to the server was refused", r"within 1 s: The connection to the", 2),
    ],
)
def test_a_drain_that_fails(book: Journal, text: str, match: str, tries: int) -> None:
    cluster = Cluster(drain=lambda: (1, "", text))
    with pytest.raises(GateClosed, match=match):
        change(cluster, book, lambda: pytest.fail("it was changed"))
    assert cluster.cordons()[-1] == "uncordon"
    assert (cluster.cordons().count("drain") > 1) == (tries > 1)


def test_ctrl_c_ends_a_drain_and_uncordons(book: Journal, tmp_path: Path) -> None:
    cluster = Cluster(options=DrainOptions(timeout=600))

    def drain() -> Answer:
        cluster.stopped = True
        return 1, "", BUDGET

    cluster.drain = drain
    with pytest.raises(GateClosed, match="interrupted while w1 was drained; nothing was changed"):
        change(cluster, book)
    assert cluster.cordons() == ["drain", "uncordon"]
    assert open_cordons(book, tmp_path) == {}


def test_ctrl_c_before_the_drain_drains_nothing(book: Journal, tmp_path: Path) -> None:
    cluster = Cluster(stopped=True)
    with pytest.raises(GateClosed, match="interrupted before w1 was drained; nothing was changed"):
        change(cluster, book, lambda: pytest.fail("it was changed"))
    assert cluster.cordons() == []
    assert "cordon" not in (tmp_path / journal.NAME).read_text()


@pytest.mark.parametrize("drains", [0, 1])
def test_a_batch_mate_that_fails_ends_the_drain(book: Journal, drains: int) -> None:
    """Before it begins, or after the attempt that is running."""
    cluster = Cluster(drain=lambda: (1, "", BUDGET), options=DrainOptions(timeout=600))
    gate = cluster.gate(book)
    gate.stopped = lambda host: "w2 failed" if len(cluster.cordons()) >= drains else ""
    match = f"w2 failed {'while' if drains else 'before'} w1 was drained; nothing was changed here"
    with pytest.raises(GateClosed, match=match), gate.changing("w1", interrupts=True):
        pytest.fail("it was changed")
    assert cluster.cordons() == ["drain", "uncordon"][: 2 * drains]


def test_a_run_tells_its_gate_why_a_worker_is_stopped(book: Journal, tmp_path: Path) -> None:
    names = ("w1", "w2")
    plan = Plan("s", "me", "", "", "", "", "baseline", ())
    made = PlanRunner(
        plan,
        SessionPool({}),
        tmp_path,
        book,
        Owner("me", "here", "r", now()),
        dict.fromkeys(names, NodeStatus(master=False, joined="kubelet.conf")),
        dict.fromkeys(names, "workers"),
        lambda hosts: [],
        lambda host, text: None,
    )
    gate = made._worker_gate(made.sessions)
    assert gate.stopped("w1") == ""
    made.failed["w2"] = "broken"
    assert gate.stopped("w1").startswith("w2 of the same group failed")


def test_ctrl_c_after_the_change_uncordons(book: Journal) -> None:
    cluster = Cluster()

    def during() -> None:
        cluster.stopped = True
        cluster.problems = ["CMP-KUBE-PROXY on w1: FAIL"]

    with pytest.raises(GateClosed, match="stopped while w1 was still unhealthy: CMP-KUBE-PROXY"):
        change(cluster, book, during)
    assert cluster.cordons() == ["drain", "uncordon"]


def test_a_node_that_stays_cordoned_is_reported(book: Journal, tmp_path: Path) -> None:
    cluster = Cluster(uncordon=lambda: (1, "", "connection refused"))
    change(cluster, book)
    assert cluster.reports[-1] == (
        "w1 is still cordoned (connection refused). The next `invoke fix --apply` or `invoke undo` "
        "uncordons it, or you do: kubectl uncordon w1"
    )
    assert open_cordons(book, tmp_path) == {"w1": "w1"}


def test_another_master_answers_when_one_is_lost(
    book: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_gate, "_UNCORDON_TIMEOUT", 60.0)
    cluster = Cluster()
    change(cluster, book, lambda: cluster.dead.add("m1"))
    assert cluster.calls[-1] == "m2 uncordon"
    assert cluster.reports[-1] == "w1 uncordoned"


@pytest.mark.parametrize(
    "garbage", ["", "\n", "Warning: something\n", "w1\n", "w1 [] [True] 10.0.0.4\n", "\x1b[31m\n"]
)
def test_garbage_is_no_answer(book: Journal, garbage: str) -> None:
    cluster = Cluster(garbage)
    with pytest.raises(GateClosed, match="cannot be drained: m1: kubectl's list of nodes"):
        change(cluster, book, lambda: pytest.fail("it was changed"))
    assert cluster.cordons() == []
    with pytest.raises(ApiUnavailable):
        ClusterNodes(cast("SessionPool", cluster), ("m1",)).all()


def test_a_worker_that_is_no_node_is_not_interrupted(book: Journal) -> None:
    cluster = Cluster(NODES.replace("w1", "x1").replace("10.0.0.4", "10.9.9.9"))
    with pytest.raises(GateClosed, match=r"no node of the name w1 or the address 10\.0\.0\.4"):
        change(cluster, book, lambda: pytest.fail("it was changed"))
    cluster.options = DrainOptions(drain=False)
    change(cluster, book)
    assert cluster.cordons() == []


def test_the_only_worker_is_announced(book: Journal) -> None:
    cluster = Cluster("".join(NODES.splitlines(keepends=True)[:2]))
    change(cluster, book)
    assert cluster.reports[0] == (
        "no other node takes pods: those of w1 wait until it is uncordoned"
    )


def test_a_node_that_vanishes_is_unhealthy(book: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "wait_until_healthy", _once)
    cluster = Cluster()

    def during() -> None:
        cluster.nodes = NODES.replace("w1", "x1").replace("10.0.0.4", "10.9.9.9")

    with pytest.raises(GateClosed, match="node of w1: the cluster has none"):
        change(cluster, book, during)


def _once(check: Callable[[], Sequence[str]], *_: object, **__: object) -> None:
    if problems := check():
        raise GateClosed(problems[0])


@pytest.mark.parametrize(
    ("name", "addresses", "found"),
    [
        ("w1", {"w1": "10.0.0.4", "m1": "10.0.0.1"}, "w1"),
        ("x1", {"x1": "10.0.0.4"}, "w1"),
        ("w1", {"w1": "10.0.0.1", "m1": "10.0.0.1"}, "w1"),  # ports forwarded through m1
        ("w1", {"w1": "10.9.9.9", "w2": "10.9.9.9"}, "w1"),
        ("x1", {"x1": "10.9.9.9"}, None),
    ],
)
def test_the_node_of_a_host(name: str, addresses: dict[str, str], found: str | None) -> None:
    node = node_of(parse_nodes(NODES), name, addresses)
    assert (node.name if node else None) == found


@pytest.mark.parametrize(
    ("name", "addresses", "match"),
    [
        ("w1", {"w1": "10.0.0.1"}, "the nodes m1 and w1 have the address"),
        ("x1", {"x1": "10.0.0.1", "m1": "10.0.0.1"}, r"x1 has the address 10\.0\.0\.1, as has m1"),
        ("x1", {"x1": "10.0.0.1", "m1": "192.0.2.1"}, "as has m1"),
    ],
)
def test_a_node_that_may_be_another_hosts(name: str, addresses: dict[str, str], match: str) -> None:
    with pytest.raises(GateClosed, match=match):
        node_of(parse_nodes(NODES), name, addresses)


def test_a_worker_that_is_reached_through_a_master_is_not_mistaken_for_it(book: Journal) -> None:
    cluster = Cluster(NODES.replace("10.0.0.1 m1", "10.0.0.1 10.0.0.4 m1"))
    with pytest.raises(GateClosed, match="it cannot be drained: the nodes m1 and w1 have the"):
        change(cluster, book, lambda: pytest.fail("it was changed"))
    assert cluster.cordons() == []


def test_the_nodes_of_kubectl() -> None:
    m1, w1, _ = parse_nodes(NODES.replace("w1 [] [True]", "w1 [true] [Unknown]"))
    assert (m1.ready, m1.cordoned, m1.takes_pods) == (True, False, False)
    assert (w1.ready, w1.cordoned, w1.addresses) == (False, True, ("10.0.0.4", "w1"))


@pytest.mark.parametrize("answers", [True, False])
def test_a_run_that_was_killed_is_recovered(book: Journal, tmp_path: Path, answers: bool) -> None:
    """By kubectl on control-plane nodes only, with one attempt a node."""
    book.write(NodeCordoned("w1", "w1", now()))
    book.close()
    nodes = NODES.replace("w1 []", f"w1 [true {seconds_after(2)}]")
    cluster = Cluster(nodes, dead=set() if answers else {"m1"})
    reports = recovered(cluster, tmp_path)
    assert journal.load_run(tmp_path).cordoned == ({} if answers else {"w1": "w1"})
    assert reports == [
        "w1, which r had cordoned, is uncordoned"
        if answers
        else "w1, which r had cordoned, is still cordoned (m1: lost): kubectl uncordon w1"
    ]


def recovered(cluster: Cluster, folder: Path) -> list[str]:
    """What the recovery of the run in that folder reports."""
    reports: list[str] = []
    history, pool = journal.load_run(folder), cast("SessionPool", cluster)
    recovery.recover_run(history, pool, ["m1"], lambda host, text: reports.append(text))
    return reports


def seconds_after(seconds: int) -> str:
    """A time as kubectl prints it."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize(
    ("cordon", "still"),
    [
        ("", ""),
        ("true 2099-01-02T03:04:05Z", "this cordon is newer, of 2099-01-02T03:04:05Z"),
        ("true ", "the time of its cordon is unknown"),
    ],
)
def test_recovery_leaves_a_cordon_that_is_not_of_its_run(
    book: Journal, tmp_path: Path, cordon: str, still: str
) -> None:
    """An operator may have uncordoned the node after that run, and cordoned it later."""
    book.write(NodeCordoned("w1", "w1", now()))
    book.close()
    cluster = Cluster(NODES.replace("w1 []", f"w1 [{cordon}]"))
    (report,) = recovered(cluster, tmp_path)
    assert cluster.cordons() == []
    assert open_cordons(book, tmp_path) == ({"w1": "w1"} if still else {})
    if still:
        assert report.startswith(f"w1, which r had cordoned, is still cordoned ({still}")
        assert report.endswith(": kubectl uncordon w1")


def test_a_node_that_is_deleted_needs_no_uncordon(book: Journal, tmp_path: Path) -> None:
    gone = 'Error from server (NotFound): nodes "w1" not found'
    change(Cluster(uncordon=lambda: (1, "", gone)), book)
    assert open_cordons(book, tmp_path) == {}


def test_each_worker_of_a_batch_has_sessions_of_its_own(
    book: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drains of a batch go on at the same time, and none ends with the run's sessions."""
    pools: list[object] = []

    class Gate:
        @contextmanager
        def changing(self, name: str, *, interrupts: bool) -> Iterator[None]:
            assert interrupts
            yield

    def gate_of(_: PlanRunner, sessions: SessionPool) -> Gate:
        pools.append(sessions)
        return Gate()

    monkeypatch.setattr(PlanRunner, "_worker_gate", gate_of)
    monkeypatch.setattr(PlanRunner, "_run_host", lambda *_: None)
    workers = tuple(HostPlan(name, "", (LOUD,), (), ()) for name in ("w1", "w2"))
    plan = Plan("s", "me", "", "", "", "", "baseline", workers)
    member = NodeStatus(master=False, joined="kubelet.conf")
    names = ("w1", "w2")
    shared = SessionPool({})
    made = PlanRunner(
        plan,
        shared,
        tmp_path,
        book,
        Owner("me", "here", "r", now()),
        dict.fromkeys(names, member),
        dict.fromkeys(names, "workers"),
        lambda hosts: [],
        lambda host, text: None,
        batch=BatchSize(2, percent=False),
    )
    assert made.run()
    assert len({id(p) for p in (*pools, shared)}) == 3
