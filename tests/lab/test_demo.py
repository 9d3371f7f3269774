"""`invoke demo` (`make demo`): which lab it starts."""

from collections.abc import Callable

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from lab import machine
from lab.demo import demo
from lab.errors import LabError


@pytest.mark.parametrize(("named", "started"), [("mine", "mine"), (None, "lab")])
def test_it_takes_the_lab_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, named: str | None, started: str
) -> None:
    """As all commands of the lab do: two people's labs on one machine stay apart."""
    taken = []

    class NoLab:
        def __init__(self, name: str, _: Callable[[str], None]) -> None:
            taken.append(name)

        def up(self) -> None:
            raise LabError("this test starts none")

    monkeypatch.setattr(machine, "unavailable", lambda: "")
    monkeypatch.setattr(machine, "Lab", NoLab)
    monkeypatch.delenv("HALE_LAB", raising=False)
    if named is not None:
        monkeypatch.setenv("HALE_LAB", named)
    with pytest.raises(Exit, match="this test starts none"):
        demo(Context())
    assert taken == [started]
