"""Plans and journals of earlier versions load, and are written as they were.

saved/plan-1.json and saved/journal-1.jsonl have each kind of change and of entry, as Hale wrote
them when their schemas came to be.
"""

import shutil
from pathlib import Path

import msgspec

from hale.apply import journal
from hale.apply.journal import Entry
from hale.model.change import Action, ManualStep, UnitAction
from hale.plan import plan

SAVED = Path(__file__).parent / "saved"
KINDS = {kind.__name__ for kind in Action.__args__}


def test_plan(tmp_path: Path) -> None:
    found = plan.load_plan(SAVED / "plan-1.json")
    (host,) = found.hosts
    assert {type(step.change).__name__ for step in host.steps} == KINDS
    assert {step.change.reason for step in host.steps} == {"a reason"}
    assert [note.instructions for note in host.manual_steps] == ["by a person"]
    plan.save_plan(found, tmp_path / "plan.json")
    assert (tmp_path / "plan.json").read_bytes() == (SAVED / "plan-1.json").read_bytes()


def test_journal(tmp_path: Path) -> None:
    saved = SAVED / "journal-1.jsonl"
    decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)
    for line in saved.read_bytes().splitlines():
        assert msgspec.json.encode(decoder.decode(line)) == line
    shutil.copy(saved, tmp_path / journal.NAME)
    found = journal.load_run(tmp_path)
    assert {type(begun.step.change).__name__ for begun in found.begun.values()} == KINDS
    assert {begun.notes for begun in found.begun.values()} == {("folder /etc/x.d", "priority 3")}
    assert all(isinstance(done.undo[1], ManualStep) for done in found.done.values())
    actions = [getattr(begun.step.change, "action", None) for begun in found.begun.values()]
    assert [action for action in actions if action] == list(UnitAction)
    assert found.hosts["node"].reason == found.phases["masters"].reason == "because"
