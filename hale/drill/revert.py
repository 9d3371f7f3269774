"""The way back of a drill that did not walk it itself: from its journal alone."""

from collections.abc import Callable

from hale.apply.journal import now
from hale.drill import actions
from hale.drill.actions import ActionFailed
from hale.drill.fault import Power
from hale.drill.journal import DrillHistory, Entry, FaultReverted, WorkloadEvent
from hale.drill.sampler import FOLDER

Reporter = Callable[[str, str], None]


def remaining(story: DrillHistory) -> list[str]:
    """What is still to be given back, for people."""
    said = [f"{take.outage.title} (taken at {take.at})" for take in story.taken]
    return [*said, *(["the Deployment of the drill"] if story.spread else [])]


def revert_all(
    story: DrillHistory, power: Power | None, write: Callable[[Entry], None], told: Reporter
) -> list[str]:
    """Give back all that is left, each written to the journal; returns what could not be."""
    wrong = []
    for take in story.taken:
        told(take.host, f"giving back {take.outage.title}")
        try:
            actions.revert(take.outage, power)
        except ActionFailed as error:
            wrong.append(f"{take.outage.title}: {error}")
            continue
        write(FaultReverted(take.part, take.host, now()))
    if story.spread:
        told(story.spread, "deleting the Deployment of the drill")
        try:
            actions.delete_workload(story.spread)
            write(WorkloadEvent(story.spread, True, now()))
        except ActionFailed as error:
            wrong.append(f"the Deployment of the drill: {error}")
    for host in story.loops:
        try:
            actions.run_script(host, f"rm -rf {FOLDER}\n", 20)
        except ActionFailed as error:
            told(host, f"{FOLDER} stays there until it is rebooted: {error}")
    return wrong
