"""The federation over time: is the disconnected member Ready, and is its workload there once?

Two records: Karmada's view of the member and of the workload's placement; and the workload's pods
on the member, from its own apiserver, which answers the operator all the time.
"""

from collections.abc import Sequence
from typing import Any

from hale.drill.health import NO_ANSWER, HealthTimeline, Sample, table_rows
from hale.model.drill import ComponentKind

Cut = tuple[float, float]  # from when to when the member is disconnected, in seconds


def timelines(
    samples: Sequence[Sample], member: str, replicas: int, cut: Cut
) -> tuple[HealthTimeline, HealthTimeline]:
    """Whether the member is Ready; whether the workload has its replicas, and none twice.

    While the member is disconnected its replicas count as down, and not as doubled: nothing can
    remove them there.
    """
    return _ready(samples, member), _replicas(samples, member, replicas, cut)


def _ready(samples: Sequence[Sample], member: str) -> HealthTimeline:
    points = []
    for sample in samples:
        if sample.source != "members":
            continue
        table = table_rows(sample.answer)
        if table is None:
            points.append((sample.at, False, NO_ANSWER))
            continue
        state = next((r.get("Ready", "") for r in table if r.get("Name") == member), "gone")
        points.append((sample.at, state == "True", "" if state == "True" else f"Ready is {state}"))
    return HealthTimeline(ComponentKind.MEMBER, tuple(points))


def _replicas(samples: Sequence[Sample], member: str, replicas: int, cut: Cut) -> HealthTimeline:
    points = []
    copies: int | None = None
    for sample in samples:
        if sample.source == "copies":
            copies = _running(sample.answer)
        if sample.source != "binding":
            continue
        placed, ready = _placement(sample.answer)
        if placed is None or copies is None:
            points.append((sample.at, False, NO_ANSWER))
            continue
        is_cut = cut[0] <= sample.at < cut[1]
        there = 0 if is_cut else copies
        elsewhere = sum(count for name, count in ready.items() if name in placed and name != member)
        count = elsewhere + (there if member in placed else 0)
        wanted = placed.get(member, 0)
        detail = ""
        if count < replicas:
            detail = f"{count} of {replicas} replicas"
        elif there > wanted:
            detail = f"{there - wanted} replicas too many on {member}"
        points.append((sample.at, not detail, detail))
    return HealthTimeline(ComponentKind.REPLICAS, tuple(points))


def _running(table: Any) -> int | None:
    """The pods that run, of the API's table; None without one."""
    rows = table_rows(table)
    if rows is None:
        return None
    return sum(r.get("Status") == "Running" and r.get("Ready") == "1/1" for r in rows)


def _placement(binding: Any) -> tuple[dict[str, int] | None, dict[str, int]]:
    """Replicas that Karmada has placed, by member, or None; and those that are ready."""
    try:
        placed = {c["name"]: int(c.get("replicas", 0)) for c in binding["spec"]["clusters"]}
        status = (binding.get("status") or {}).get("aggregatedStatus") or ()
        ready = {
            s["clusterName"]: int((s.get("status") or {}).get("readyReplicas", 0)) for s in status
        }
    except (LookupError, TypeError, ValueError, AttributeError):
        return None, {}
    return placed, ready
