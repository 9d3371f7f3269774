"""Files that a run reads on the control host, and that are none of its own: one line, at once."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from hale.apply import journal, run_journals
from hale.apply.journal import Journal, RunFinished, RunState, now
from hale.audit import evidence_file, results_file, waivers
from hale.cli import runs
from hale.drill import journal as drills
from hale.files import jsonl, manifest, provenance, regular
from hale.install import cluster_context
from hale.inventory import ini
from hale.model.errors import UserError
from hale.plan import plan
from hale.standard import loader

# What reads a file: by the file's name, which some of them determine.
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "plan": ("p.json", plan.load_plan),
    "evidence": ("evidence.json", evidence_file.load_evidence),
    "results": ("results.json", results_file.load_results),
    "journal": (journal.NAME, lambda path: journal.load_run(path.parent)),
    "drill's journal": (drills.NAME, lambda path: drills.load_drill(path.parent)),
    "inventory": ("inventory.ini", ini.load_inventory),
    "baseline": ("a.toml", lambda path: loader.load_standard(path.parent)),
    "waivers": (waivers.NAME, waivers.read_file),
    "manifest": (manifest.NAME, lambda path: manifest.read(path.parent)),
    "kubeadm's configuration": ("k.yaml", cluster_context._bytes),
}


def _socket(path: Path) -> None:
    os.mknod(path, 0o140600)


def _linked_fifo(path: Path) -> None:
    os.mkfifo(f"{path}.fifo")
    path.symlink_to(f"{path}.fifo")


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "FIFO": (os.mkfifo, "it is a FIFO"),
    "link to a FIFO": (_linked_fifo, "it is a FIFO"),
    "/dev/zero": (lambda path: path.symlink_to("/dev/zero"), "it is a character device"),
    "/dev/tty": (lambda path: path.symlink_to("/dev/ptmx"), "it is a character device"),
    "socket": (_socket, "No such device or address"),
    "folder": (Path.mkdir, "Is a directory"),
    "link in a circle": (lambda path: path.symlink_to(path), "Too many levels"),
}


@pytest.fixture(autouse=True)
def _at_once() -> Iterator[None]:
    """A reader that waits for a writer is killed by an exception."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file(tmp_path: Path, reader: str, kind: str) -> None:
    name, load = READERS[reader]
    make, why = KINDS[kind]
    make(tmp_path / name)
    with pytest.raises(UserError, match=why) as raised:
        load(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}:")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "reader", ["plan", "evidence", "results", "journal", "inventory", "kubeadm's configuration"]
)
def test_what_is_too_large(tmp_path: Path, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        regular, "read_file", lambda path, most=0, do=regular.read_file: do(path, 9)
    )
    name, load = READERS[reader]
    (tmp_path / name).write_text("0123456789")
    with pytest.raises(UserError, match="larger than 0 MiB"):
        load(tmp_path / name)


def test_a_fifo_has_no_digest_and_no_lock(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    assert provenance.sha256(tmp_path / "f") == ""
    assert not jsonl.is_locked(tmp_path / "f")


# --- journals of runs that never began, and files that are none ---

HEADER = b'{"type":"run","schema":"hale.journal/1","run":"a","kind":"fix"'
BLOCKS_NOTHING = {"empty": b"", "cut off in its first line": HEADER, "one brace": b"{"}
INVALID = {
    "garbage": b"garbage\n",
    "nested": b"[" * 100_000 + b"\n",
    "of another version": b'{"type":"run","schema":"hale.journal/7"}\n',
    "a line": b"\n",
}


def _good(reports: Path) -> None:
    folder = reports / "2026-01-01T000000Z-fix"
    folder.mkdir()
    owner = run_journals.new_owner(folder.name)
    header = run_journals.journal_header(owner, "fix", folder / "i", approved_by="", ticket="")
    book = Journal(folder, header)
    book.write(RunFinished(RunState.FINISHED, now()))
    book.close()


@pytest.mark.parametrize("content", BLOCKS_NOTHING.values(), ids=BLOCKS_NOTHING)
def test_a_run_that_never_began_blocks_no_other(tmp_path: Path, content: bytes) -> None:
    _good(tmp_path)
    (tmp_path / "2026-02-02T000000Z-fix").mkdir()
    (tmp_path / "2026-02-02T000000Z-fix" / journal.NAME).write_bytes(content)
    assert [s.header.run for s in run_journals.load_runs(tmp_path)] == ["2026-01-01T000000Z-fix"]
    assert len(runs.table(tmp_path).rows) == 1


@pytest.mark.parametrize("content", INVALID.values(), ids=INVALID)
def test_a_file_that_is_no_journal_is_reported_and_blocks_no_other(
    tmp_path: Path, content: bytes
) -> None:
    _good(tmp_path)
    (tmp_path / "2026-02-02T000000Z-fix").mkdir()
    (tmp_path / "2026-02-02T000000Z-fix" / journal.NAME).write_bytes(content)
    errors: list[UserError] = []
    assert [s.header.run for s in run_journals.load_runs(tmp_path, errors.append)] == [
        "2026-01-01T000000Z-fix"
    ]
    assert len(errors) == 1
    console = Console(width=1000)
    with console.capture() as shown:
        console.print(runs.table(tmp_path))
    first, second, *_ = shown.get().splitlines()[1:]
    assert first.split()[0] == "2026-02-02T000000Z-fix"
    assert "invalid: " in first
    assert second.split()[0] == "2026-01-01T000000Z-fix"
