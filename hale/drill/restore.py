"""The way back of a drill that did not walk it itself: from its journal alone."""

from collections.abc import Callable

from hale.apply.journal import now
from hale.drill import hosts
from hale.drill.hosts import Failed
from hale.drill.journal import Entry, Given, Spread, Story
from hale.drill.loop import FOLDER
from hale.drill.outage import Power

Told = Callable[[str, str], None]


def left(story: Story) -> list[str]:
    """What is still to be given back, for people."""
    said = [f"{take.outage.title} (taken at {take.at})" for take in story.taken]
    return [*said, *(["the Deployment of the drill"] if story.spread else [])]


def put_back(
    story: Story, power: Power | None, write: Callable[[Entry], None], told: Told
) -> list[str]:
    """Give back all that is left, each written to the journal; returns what could not be."""
    wrong = []
    for take in story.taken:
        told(take.host, f"giving back {take.outage.title}")
        try:
            hosts.give(take.outage, power)
        except Failed as error:
            wrong.append(f"{take.outage.title}: {error}")
            continue
        write(Given(take.part, take.host, now()))
    if story.spread:
        told(story.spread, "deleting the Deployment of the drill")
        try:
            hosts.clear_spread(story.spread)
            write(Spread(story.spread, True, now()))
        except Failed as error:
            wrong.append(f"the Deployment of the drill: {error}")
    for host in story.loops:
        try:
            hosts.run(host, f"rm -rf {FOLDER}\n", 20)
        except Failed as error:
            told(host, f"{FOLDER} stays there until it is rebooted: {error}")
    return wrong
