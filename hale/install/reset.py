"""`invoke reset`: from an operator's words to a cluster that is off its hosts."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from rich.console import Console
from rich.text import Text

from hale import inventory, recorder, selection
from hale.apply.journal import End, now
from hale.errors import HaleError
from hale.install.course import load
from hale.install.doer import Failed
from hale.install.engine import Engine, PhaseFailed, Stopped
from hale.install.look import Down, Wish, look
from hale.install.running import (
    Asked,
    indented,
    load_site,
    printable_lines,
    reachable,
    recorded,
    stoppable,
)
from hale.install.shown import Progress
from hale.install.site import Site
from hale.install.step import Phase, Seen, Wave
from hale.inventory import Host
from hale.terminal import agrees, printable


@dataclass(frozen=True)
class Reset:
    """What `invoke reset` was told besides. accept: to lose the quorum of etcd."""

    cluster_name: str = ""
    hosts: str = "all"
    packages: bool = False
    accept: bool = False


class Off(Protocol):
    """remediate/cluster/reset.py, which is no phase: it asks for the hosts that go."""

    @property
    def quorum(self) -> Callable[[Site, Seen, Sequence[Host]], str]:
        """What is lost by it."""

    @property
    def waves(self) -> Callable[..., Iterable[Wave]]:
        """What does it."""

    @property
    def left(self) -> Callable[[Site, Seen, Sequence[Host]], tuple[str, ...]]:
        """What is there still."""


def reset(asked: Asked, wanted: Reset) -> bool:
    """Take the cluster off the hosts. True where nothing of it is left there.

    Raises HaleError where the name is not the cluster's, nobody agrees, or the quorum would go.
    """
    known = inventory.load(asked.path)
    built = load_site(known)
    chosen = {c.host.name for c in selection.choose(wanted.hosts, known, lambda uri: ())}
    hosts = [h for h in built.hosts if h.name in chosen]
    taken_off = cast("Off", load("reset"))
    _named(built, wanted, hosts, yes=asked.yes)
    reachable(known)
    console = Console(highlight=False)
    folder = recorder.folder(asked.reports, "reset")
    with recorded(asked, known, folder, "reset") as book, Progress(console) as shown:
        engine = Engine(built, shown, book)
        with stoppable(engine, shown):
            try:
                wish = Wish(cast("Phase", taken_off), built)
                (seen,) = look([wish])
                lost = taken_off.quorum(built, seen, hosts)
                if lost and not wanted.accept:
                    raise HaleError(
                        f"nothing was changed: {lost} Say --i-accept-losing-quorum to do it."
                    )
                waves = taken_off.waves(built, seen, hosts, with_packages=wanted.packages)
                left = engine.once("reset", waves, wish, lambda s: taken_off.left(built, s, hosts))
            except Stopped:
                book.write(End("interrupted", now()))
                raise KeyboardInterrupt from None
            except (PhaseFailed, Failed, Down) as error:
                book.write(End("failed", now()))
                said = getattr(error, "said", "")
                console.print(Text(f"\nreset failed: {printable_lines(str(error))}", "bold red"))
                if said:
                    console.print(Text(indented(printable_lines(said))))
                console.print("Say it again to go on.")
                return False
        book.write(End("failed" if left else "finished", now()))
    for text in left:
        console.print(Text(f"  ✗ left: {printable(text)}", "red"))
    console.print(f"report: {folder}")
    return not left


def _named(built: Site, wanted: Reset, hosts: Sequence[Host], *, yes: bool) -> None:
    """The operator names the cluster that goes. Raises HaleError."""
    name = built.cluster.name
    given = wanted.cluster_name
    if not given and sys.stdin.isatty():
        print(f"This takes the cluster {name} off {', '.join(h.name for h in hosts)}.")
        given = input("Its name, to go on: ").strip()
    if not given:
        raise HaleError("say which cluster goes: --cluster-name NAME (inventory: cluster_name).")
    if given != name:
        raise HaleError(f"nothing was changed: the cluster's name is {name!r}, not {given!r}.")
    if not yes and not sys.stdin.isatty():
        raise HaleError("nobody is there to ask: say --yes to reset without asking.")
    if not yes and not agrees(
        f"Reset {len(hosts)} hosts? All that is in the cluster is lost. [y/N] "
    ):
        raise HaleError("nothing was changed.")
