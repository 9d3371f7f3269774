"""The answers of several hosts, read one by one and combined. Not a subject: facts about the
cluster use it.

Masters that contradict each other prove nothing: what all those that answer have in common counts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from hale.inventory.ini import Host
from hale.model.evidence import ClusterView, HostView, NotApplicable, Unreadable

Answer = TypeVar("Answer")


def view_of(readings: ClusterView, host: Host) -> HostView:
    """The host's evidence. Raises Unreadable where it is not in the run."""
    if host.name not in readings:
        raise Unreadable("not audited")
    return readings[host.name]


def read_each(
    readings: ClusterView, hosts: Iterable[Host], read: Callable[[HostView], Answer]
) -> tuple[dict[str, Answer], list[str]]:
    """What `read` returns for each host, by name, and `NAME: reason` where it raises Unreadable."""
    answers: dict[str, Answer] = {}
    unread: list[str] = []
    for host in hosts:
        try:
            answers[host.name] = read(view_of(readings, host))
        except Unreadable as error:
            unread.append(f"{host.name}: {error}")
    return answers, unread


def read_addon(
    readings: ClusterView,
    masters: Iterable[Host],
    read: Callable[[HostView], Answer | None],
    present: Callable[[Answer], bool],
    *,
    requested: bool,
) -> dict[str, Answer]:
    """What the apiservers list of an addon, by master. Never empty.

    read: None for a master without an apiserver. present: whether the addon is in what is listed.
    requested: by the inventory. Raises NotApplicable where the addon is neither there nor
    requested, and Unreadable where no apiserver answers.
    """
    answers, errors = read_each(readings, masters, read)
    clusters = {host: listed for host, listed in answers.items() if listed is not None}
    if not clusters:
        if answers and not errors and not requested:
            raise NotApplicable("not requested, and there is no cluster yet")
        raise Unreadable("; ".join(errors) or "no apiserver to ask")
    if not requested and not any(map(present, clusters.values())):
        raise NotApplicable("not requested, and the cluster has none")
    return clusters


def agreed(each: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The faults that all masters have in common, and a sentence for each of the others.

    each: by master, the faults that its apiserver's answer has.
    """
    every = tuple(dict.fromkeys(fault for faults in each.values() for fault in faults))
    having = {fault: [host for host, faults in each.items() if fault in faults] for fault in every}
    common = tuple(fault for fault in every if len(having[fault]) == len(each))
    return common, tuple(
        f"the masters contradict each other: only for {' and '.join(having[fault])} {fault}"
        for fault in every
        if fault not in common
    )
