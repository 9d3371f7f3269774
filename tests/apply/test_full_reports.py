"""The disk of the reports fills while a command holds the locks of real hosts.

The command is stopped once it has the locks (pairs.py), the room is taken but for some KiB, and it
goes on: one line, no file in part, no change without its entry in the journal, and no lock that
remains. With room again, the next runs are not hindered. `make soak` has all cases.
"""

import re
import subprocess
from collections.abc import Iterator

import pytest

from hale.apply import journal
from tests.apply.invoke_cli import Operator
from tests.apply.pairs import Command, Desk, ended
from tests.apply.test_two_at_once import ALONE, HOST, desk
from tests.reports.test_full_disk import FULL, fill, require_complete

ROOM = "16m"
#: KiB that are free when the journal begins; a tmpfs gives them by 4.
CASES = [(Command.FIX, 4)]
SOAK = [
    *((Command.FIX, free) for free in (0, 8, 48)),
    *((Command.UNDO, free) for free in (0, 4, 8, 48)),
    *((Command.INSTALL, free) for free in (0, 4)),
    *((Command.RESET, free) for free in (0, 4)),
]


@pytest.fixture
def small(operator: Operator) -> Iterator[Desk]:
    """An operator whose reports folder is a file system of its own."""
    made = desk(operator, HOST)
    made.reports.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={ROOM},mode=700"]
    subprocess.run(["mount", *options, "none", str(made.reports)], check=True)
    try:
        yield made
    finally:
        subprocess.run(["umount", str(made.reports)], check=True)
    assert not operator.ready.red(operator.ready.rows(HOST))


@pytest.mark.parametrize(
    ("command", "free"),
    [
        *(pytest.param(*case, id="-".join(map(str, case))) for case in CASES),
        *(
            pytest.param(*case, marks=pytest.mark.soak, id="-".join(map(str, case)))
            for case in SOAK
        ),
    ],
)
def test_the_reports_fill(small: Desk, command: Command, free: int) -> None:
    before = small.configuration()
    with small.prepared(command):
        with small.holding(command) as running:
            taken = small.reports / "fill"
            fill(taken, free)
        found = ended(running)
        assert "Traceback" not in found.output, found.output
        assert found.status == 1, found.output
        lines = [line for line in found.output.splitlines() if FULL in line]
        assert lines, found.output
        # Where the journal fits and the page does not, the run ends as it does without it.
        assert any(re.search(rf"^{command}: |change\.html is not", one) for one in lines), lines
        assert small.run("ls /var/lib/hale").split().count("lock") == 0
        taken.unlink()
        require_complete(small.reports)
        changed = command in (Command.FIX, Command.UNDO) and small.is_done(command)
        names = {path.parent.name for path in small.reports.glob(f"*-{command}/{journal.NAME}")}
        histories = [journal.read_run(small.reports / name) for name in names]
        assert not changed or any(history and history.begun for history in histories)
        listed = ended(small.type("runs", f"--reports={small.reports}"))
        assert listed.status == 0, listed.output
        again = ended(small.start(command))
        assert again.status == ALONE[command], again.output
        assert small.is_done(command)
    if command in (Command.FIX, Command.UNDO):
        assert small.configuration() == before, "other tests have this host"
