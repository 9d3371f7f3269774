"""A worker of a living cluster: drained before a change that interrupts it, healthy after any.

Before the change its health is looked at, by the requirements that guard a change, and its node
being Ready; whatever was healthy then must be so again before the next batch.

A change that restarts or interrupts something needs an empty node: it is cordoned, and drained by
eviction, which PodDisruptionBudgets may refuse. Afterwards it is uncordoned, whatever became of the
change, unless it was cordoned before. The journal has an entry before it is cordoned and one after
it is uncordoned, so that a run that was killed is recovered (recovery.recover_run).

Source: kubernetes.io, "Safely Drain a Node", "Disruptions"; kubectl's reference, `drain`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from hale.apply import gates
from hale.apply.cluster_nodes import (
    ApiUnavailable,
    ClusterNode,
    ClusterNodes,
    last_line,
    node_of,
)
from hale.apply.gates import GateClosed, subject_of
from hale.apply.journal import Journal, NodeCordoned, NodeUncordoned, now
from hale.model.errors import UserError
from hale.polling import wait_until

DRAIN_TIMEOUT = 300  # seconds for all pods to leave: kubectl's own default is to wait for ever
# kubectl drains for this many seconds at a time, so that Ctrl-C ends it.
_DRAIN_SLICE = 10
_DRAIN_PAUSE = 1.0  # seconds between them
_UNCORDON_TIMEOUT, _UNCORDON_INTERVAL = 60.0, 2.0
# A node is cordoned just after the journal's entry; the rest is for clocks that differ.
_OWN_CORDON = timedelta(minutes=5)
# Of kubectl: a pod that it never evicts, such as one without a controller.
_NEVER = "cannot delete"


def check_drain_timeout(seconds: int) -> None:
    """Raises UserError where `--drain-timeout` is too small."""
    if seconds < 1:
        raise UserError("--drain-timeout is a number of seconds, 1 or more.")


@dataclass(frozen=True)
class DrainOptions:
    """Whether a worker is drained before it is interrupted, and how many seconds that may take."""

    drain: bool = True
    timeout: int = DRAIN_TIMEOUT


DEFAULT = DrainOptions()


@dataclass
class WorkerGate:
    """Changes workers only while the cluster can spare them.

    problems: why these hosts are unhealthy now (gates.unhealthy). addresses: by host. report: as
    PlanRunner's. give_up: whether the run is to stop. stopped: why no change may begin on this
    host, such as the failure of another one; empty if one may.
    """

    nodes: ClusterNodes
    options: DrainOptions
    addresses: Mapping[str, str]
    problems: Callable[[Sequence[str]], Sequence[str]]
    journal: Journal
    report: Callable[[str, str], None]
    give_up: Callable[[], bool]
    stopped: Callable[[str], str] = lambda host: ""

    @contextmanager
    def changing(self, name: str, *, interrupts: bool) -> Iterator[None]:
        """Around the change of a worker. interrupts: whether it interrupts something there.

        Raises GateClosed where it must not be begun, or where the worker is unhealthy after it.
        """
        before = self._problems(name)
        for problem in before:
            self.report(name, f"unhealthy before the change, so not waited for: {problem}")
        node = self._drain(name) if self.options.drain and interrupts else None
        known = {subject_of(p) for p in before}
        try:
            yield
            gates.wait_until_healthy(
                lambda: [p for p in self._problems(name) if subject_of(p) not in known],
                self.give_up,
                what=name,
            )
        finally:
            if node is not None:
                self._uncordon(name, node.name)

    def _problems(self, name: str) -> list[str]:
        found = list(self.problems([name]))
        try:
            node = node_of(self.nodes.all(), name, self.addresses)
        except ApiUnavailable as error:
            return [*found, f"the cluster's API: {error}"]
        except GateClosed as error:
            return [*found, f"node of {name}: {error}"]
        if node is None:
            found.append(f"node of {name}: the cluster has none")
        elif not node.ready:
            found.append(f"node of {name}: {node.name} is not Ready")
        return found

    def _drain(self, name: str) -> ClusterNode | None:
        """Cordon and drain the host's node; it, if Hale has to uncordon it. Raises GateClosed."""
        try:
            nodes = self.nodes.all()
            node = node_of(nodes, name, self.addresses)
        except (ApiUnavailable, GateClosed) as error:
            raise GateClosed(
                f"it cannot be drained: {error}. Nothing was changed here; --no-drain changes it "
                "with its pods on it"
            ) from None
        if node is None:
            raise GateClosed(
                f"it cannot be drained: the cluster has no node of the name {name} or the address "
                f"{self.addresses.get(name, '')}. Nothing was changed here; --no-drain changes it "
                "with its pods on it"
            )
        if why := self._stopped(name):
            raise GateClosed(f"{why} before {node.name} was drained; nothing was changed here")
        if not any(n.takes_pods and n.name != node.name for n in nodes):
            self.report(
                name, f"no other node takes pods: those of {node.name} wait until it is uncordoned"
            )
        if not node.cordoned:
            self.journal.write(NodeCordoned(name, node.name, now()))
        try:
            self._evict(name, node.name)
        except BaseException:
            if not node.cordoned:
                self._uncordon(name, node.name)
            raise
        if node.cordoned:
            self.report(name, f"{node.name} drained; it was cordoned before, and stays so")
            return None
        self.report(name, f"{node.name} cordoned and drained")
        return node

    def _stopped(self, name: str) -> str:
        return "interrupted" if self.give_up() else self.stopped(name)

    def _evict(self, name: str, node: str) -> None:
        """Raises GateClosed where pods stay."""
        words = ("drain", node, "--ignore-daemonsets", "--delete-emptydir-data")
        end = time.monotonic() + self.options.timeout
        while True:
            remaining = max(1, min(_DRAIN_SLICE, round(end - time.monotonic())))
            never = False
            try:
                done = self.nodes.run(*words, f"--timeout={remaining}s", timeout=remaining + 30)
            except ApiUnavailable as error:
                why = str(error)
            else:
                if done.exit_status == 0:
                    return
                text = done.stderr.decode(errors="backslashreplace")
                refused = [line for line in text.splitlines() if "disruption budget" in line]
                why = refused[-1].strip() if refused else last_line(done)
                never = _NEVER in text
            if never or self._stopped(name) or time.monotonic() >= end:
                break
            self.report(name, f"{node} is being drained: {why}")
            time.sleep(_DRAIN_PAUSE)
        if stopped := self._stopped(name):
            raise GateClosed(f"{stopped} while {node} was drained; nothing was changed here")
        if never:
            raise GateClosed(
                f"{node} cannot be drained: {why}. Nothing was changed here; delete that pod, or "
                "--no-drain changes the node with its pods on it"
            )
        raise GateClosed(
            f"{node} was not drained within {self.options.timeout} s: {why}. Nothing was changed "
            "here; --drain-timeout waits longer, --no-drain changes it with its pods on it"
        )

    def _uncordon(self, name: str, node: str) -> None:
        if why := uncordon(self.nodes, node, _UNCORDON_TIMEOUT):
            self.report(
                name,
                f"{node} is still cordoned ({why}). The next `invoke fix --apply` or `invoke undo` "
                f"uncordons it, or you do: kubectl uncordon {node}",
            )
            return
        self.journal.write(NodeUncordoned(name, node, now()))
        self.report(name, f"{node} uncordoned")


def uncordon(nodes: ClusterNodes, node: str, timeout: float) -> str:
    """Uncordon a node, trying for `timeout` seconds; why it is still cordoned, or nothing.

    A node that the cluster no longer has needs nothing.
    """

    def attempt() -> str:
        try:
            done = nodes.run("uncordon", node, "--request-timeout=10s")
        except ApiUnavailable as error:
            return str(error)
        gone = f'nodes "{node}" not found'
        return last_line(done) if done.exit_status and gone not in last_line(done) else ""

    return wait_until(attempt, timeout, _UNCORDON_INTERVAL)


def uncordon_own(nodes: ClusterNodes, node: str, at: str) -> str:
    """Uncordon a node that a run has cordoned; why it is still cordoned, or nothing.

    at: the UTC time of the journal's entry. A node that is schedulable now, or that the cluster no
    longer has, needs nothing. A cordon that is newer, or of an unknown time, is an operator's.
    """
    try:
        found = next((n for n in nodes.all() if n.name == node), None)
    except ApiUnavailable as error:
        return str(error)
    if found is None or not found.cordoned:
        return ""
    if not found.cordoned_at:
        return "the time of its cordon is unknown, so it may be an operator's"
    latest = datetime.fromisoformat(at) + _OWN_CORDON
    if datetime.fromisoformat(found.cordoned_at) > latest:
        return f"this cordon is newer, of {found.cordoned_at}, so it is an operator's"
    return uncordon(nodes, node, timeout=0)
