"""What several masters answer about one cluster. Not a subject: facts about the cluster use it.

Masters that contradict each other prove nothing: what all those that answer have in common counts.
"""

from collections.abc import Mapping, Sequence


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
