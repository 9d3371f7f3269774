"""Which phase of an install may begin, and what is known of those that have not.

One thread alone changes a course; the phases' own threads ask it.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from hale.install.step import Phase, Seen

PACKAGE = "remediate.cluster"


def load(name: str) -> Phase:
    """The module of that phase."""
    return cast("Phase", importlib.import_module(f"{PACKAGE}.{name}"))


def names() -> tuple[str, ...]:
    """All phases of an install, in their order."""
    found: tuple[str, ...] = importlib.import_module(PACKAGE).PHASES
    return found


def follows(module: Any) -> tuple[str, ...]:
    """Phases of which only what runs in the background need not be through."""
    found: tuple[str, ...] = getattr(module, "FOLLOWS", ())
    return found


class Course:
    """The phases that were asked for. seen: of each what its hosts answered, nothing done yet.

    What a phase needs that was not asked for counts as through.
    """

    def __init__(self, names: Sequence[str], seen: Mapping[str, Seen]) -> None:
        self.waiting = list(names)
        self._names = frozenset(names)
        self._seen = dict(seen)
        self._through: frozenset[str] = frozenset()
        self._behind: frozenset[str] = frozenset()

    def ready(self) -> Iterator[str]:
        """Those that may begin, in their order; one that is through meanwhile makes more ready."""
        for name in list(self.waiting):
            module = load(name)
            past = self._through | self._behind
            if self._none_left(module.NEEDS, self._through) and self._none_left(
                follows(module), past
            ):
                yield name

    def _none_left(self, needs: Sequence[str], past: frozenset[str]) -> bool:
        return not (self._names & set(needs)) - past

    def begin(self, name: str) -> Seen | None:
        """It begins. What is known of its hosts; None where something was done since."""
        self.waiting.remove(name)
        return self._seen.pop(name, None)

    def only_background(self, name: str) -> None:
        """All of it is through but for what runs in the background."""
        self._behind |= {name}

    def following(self, name: str) -> tuple[str, ...]:
        """Those that need nothing more than this one and what is through."""
        through = self._through | {name}
        waiting = [n for n in list(self.waiting) if name in load(n).NEEDS]
        return tuple(n for n in waiting if self._none_left(load(n).NEEDS, through))

    def end(self, name: str, found: Mapping[str, Seen] | None) -> None:
        """It is through. found: what was seen of the next; None where nothing was done."""
        self._through |= {name}
        if found is None:
            return
        # What was seen of phases that come after it is of before.
        late = {name}
        for waiting in self.waiting:
            if late & set(load(waiting).NEEDS):
                late.add(waiting)
                self._seen.pop(waiting, None)
        self._seen |= {n: seen for n, seen in found.items() if n in self.waiting}
