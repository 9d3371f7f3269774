"""What a drill injects, and what it measured.

All times are seconds since the moment of injection, unless stated otherwise.
"""

from enum import StrEnum

import msgspec


class FaultKind(StrEnum):
    """What a fault stops. In the order in which several run: the least disruptive first."""

    VIP = "vip"
    APISERVER = "apiserver"
    ETCD = "etcd"
    WORKER = "worker"
    MASTER = "master"
    INGRESS = "ingress"
    DASHBOARD = "dashboard"
    MEMBER = "member"


#: What `invoke drill all` injects: every cluster has these.
CLUSTER_FAULTS = (
    FaultKind.VIP,
    FaultKind.APISERVER,
    FaultKind.ETCD,
    FaultKind.WORKER,
    FaultKind.MASTER,
)
#: The loss of a node with a replica of what `invoke install` adds where a site asks for it.
COMPONENT_FAULTS = (FaultKind.INGRESS, FaultKind.DASHBOARD)
#: The subjects that must be compliant before and after a drill of what a site may have.
GUARDED_SUBJECTS = {
    FaultKind.INGRESS: "ingress",
    FaultKind.DASHBOARD: "dashboard",
    FaultKind.MEMBER: "federation",
}


class ComponentKind(StrEnum):
    """A watched component; the value is its name in drill.json and on the page."""

    ETCD_QUORUM = "etcd quorum"
    ETCD_MEMBERS = "etcd members"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    NODES = "nodes Ready"
    REPLICAS = "replicas"
    MEMBER = "member Ready"


class Downtime(
    msgspec.Struct, frozen=True, rename={"started": "began", "failed_requests": "failed"}
):
    """An interval in which every request failed. Times in seconds."""

    started: float
    ended: float
    failed_requests: int

    @property
    def seconds(self) -> float:
        return self.ended - self.started


class Interval(msgspec.Struct, frozen=True, rename={"started": "began"}):
    """A time span; ended is None if it had not ended when the measurement did."""

    started: float
    ended: float | None

    @property
    def seconds(self) -> float | None:
        return None if self.ended is None else self.ended - self.started


class Component(
    msgspec.Struct,
    frozen=True,
    rename={"kind": "name", "unhealthy_intervals": "broken", "last_detail": "now"},
):
    """A watched component and when it was unhealthy. last_detail: its last observed state."""

    kind: ComponentKind
    unhealthy_intervals: tuple[Interval, ...]
    last_detail: str

    @property
    def recovered_at(self) -> float | None:
        """When it became healthy for good: 0 if it always was, None if it is not."""
        return self.unhealthy_intervals[-1].ended if self.unhealthy_intervals else 0.0


class LeaderChange(msgspec.Struct, frozen=True, rename={"max_renewal_gap": "longest"}):
    """The leader before and after, and the longest time between two renewals of its lease."""

    name: str
    before: str
    after: str
    max_renewal_gap: float


class Measurement(
    msgspec.Struct,
    frozen=True,
    # The names in drill.json.
    rename={
        "kind": "part",
        "method": "how",
        "started": "began",
        "injected_at": "zero",
        "reverted_at": "given",
        "requests": "asks",
        "failed_requests": "failed",
        "failure_counts": "failures",
        "downtimes": "gaps",
        "max_client_gap": "pause",
        "median_latency": "median",
        "components": "things",
        "leader_changes": "leaders",
        "had_replica": "on_victim",
        "invalid_because": "doubt",
    },
):
    """One fault and its effect.

    injected_at: the moment of injection by the client host's clock, in seconds since its boot.
    reverted_at: when the revert was ordered, not when it took effect.
    requests, failed_requests: numbers since the injection.
    max_client_gap: the longest time between the starts of two requests.
    median_latency: seconds, of successful requests before the injection.
    had_replica: whether a replica of the workload ran on the host.
    invalid_because: why the measurement proves nothing; empty if it is valid.
    route: what the client requested, and at which addresses.
    moves: whether the workload had to move to another member of the federation.
    """

    kind: FaultKind
    host: str
    title: str
    method: str
    client: str
    watcher: str
    started: str  # UTC, by the operator's clock
    injected_at: float
    reverted_at: float | None
    ended: float
    requests: int
    failed_requests: int
    failure_counts: dict[str, int]
    downtimes: tuple[Downtime, ...]
    max_client_gap: float
    median_latency: float
    components: tuple[Component, ...]
    leader_changes: tuple[LeaderChange, ...]
    replicas: int
    had_replica: bool
    reboots: bool
    invalid_because: str = ""
    route: str = ""
    moves: bool = False

    @property
    def longest_downtime(self) -> float:
        """In seconds."""
        return max((d.seconds for d in self.downtimes), default=0.0)

    @property
    def total_downtime(self) -> float:
        """In seconds."""
        return sum(d.seconds for d in self.downtimes)

    @property
    def replicas_recovered_at(self) -> float | None:
        """When all replicas were ready on the other hosts; None if that never happened."""
        workload = next((c for c in self.components if c.kind is ComponentKind.REPLICAS), None)
        if workload is None or not workload.unhealthy_intervals:
            return None
        ended = workload.unhealthy_intervals[0].ended
        in_time = self.reverted_at is None or (ended is not None and ended <= self.reverted_at)
        return ended if in_time else None
