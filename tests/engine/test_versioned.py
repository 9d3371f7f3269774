"""Versioned JSON files: whatever they contain, the message names file, fault and next step."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hale.apply import journal
from hale.audit import evidence_file, results_file
from hale.drill import journal as drill_journal
from hale.model.errors import UserError
from hale.plan import plan

Load = Callable[[Path], object]
FILES: dict[str, tuple[Load, str]] = {
    "results": (results_file.load_results, "hale.results/2"),
    "evidence": (evidence_file.load_evidence, "hale.evidence/1"),
    "plan": (plan.load_plan, "hale.plan/1"),
}
JOURNALS: dict[str, tuple[Load, str]] = {
    "run": (lambda path: journal.load_run(path.parent), journal.NAME),
    "drill": (lambda path: drill_journal.load_drill(path.parent), drill_journal.NAME),
}
COPY = "If it was copied, copy it again from its folder in reports/."


def message(load: Load, path: Path) -> str:
    with pytest.raises(UserError) as raised:
        load(path)
    text = str(raised.value)
    assert text.startswith(f"{path}:"), text
    return text


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Input data was truncated"),
        (b"garbage", "JSON is malformed"),
        (b"\xff\xfe", "JSON is malformed"),
        (b'{"schema": "caf\xe9"}', "can't decode byte"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"schema": 1}', "Expected `str`, got `int` - at `$.schema`"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"x": ' + b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    text = message(FILES[name][0], path)
    assert f": not a Hale {name} file: " in text
    assert why in text
    assert text.endswith(COPY)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_its_version_without_its_fields(tmp_path: Path, name: str) -> None:
    load, schema = FILES[name]
    path = tmp_path / "a.json"
    path.write_text(f'{{"schema": "{schema}"}}')
    assert f": not a Hale {name} file: Object missing required field" in message(load, path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("content", "found"), [('{"schema": "hale.other/9", "x": 1}', "hale.other/9"), ("{}", "none")]
)
def test_another_version_is_named(tmp_path: Path, name: str, content: str, found: str) -> None:
    """Before its fields are looked at: those of another version may differ."""
    load, schema = FILES[name]
    path = tmp_path / "a.json"
    path.write_text(content)
    text = message(load, path)
    assert f": schema {found}; this version reads {schema}. Use the version of Hale" in text


@pytest.mark.parametrize("name", FILES)
def test_what_cannot_be_opened(tmp_path: Path, name: str) -> None:
    load = FILES[name][0]
    assert f"cannot read the {name}: No such file" in message(load, tmp_path / "none.json")
    assert f"cannot read the {name}: Is a directory" in message(load, tmp_path)
    assert f"cannot read the {name}: embedded null byte" in message(load, Path("a\0b"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert f"cannot read the {name}: Too many levels" in message(load, tmp_path / "loop")


@pytest.mark.parametrize("name", FILES)
def test_special_files_are_named_and_not_waited_for(tmp_path: Path, name: str) -> None:
    load = FILES[name][0]
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert f"not a Hale {name} file: it is a FIFO. Name a regular" in message(load, fifo)
    assert f"not a Hale {name} file: it is a character device" in message(load, Path("/dev/null"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        assert f"cannot read the {name}: No such device" in message(load, tmp_path / "s")


@pytest.mark.parametrize("name", JOURNALS)
@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"garbage\n", ":1: not a line of a journal: JSON is malformed"),
        (b"\xff\n", ":1: not a line of a journal: JSON is malformed"),
        (b"[" * 100_000 + b"\n", ":1: not a line of a journal: Expected `object`, got"),
        (b'{"a":' + b"[" * 100_000 + b"\n", ":1: not a line of a journal: nested too deep"),
    ],
)
def test_what_is_no_journal(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    load, file = JOURNALS[name]
    (tmp_path / file).write_bytes(content)
    text = message(load, tmp_path / file)
    assert why in text
    assert text.endswith(COPY)


@pytest.mark.parametrize("name", JOURNALS)
def test_a_journal_that_is_no_file(tmp_path: Path, name: str) -> None:
    load, file = JOURNALS[name]
    assert "cannot read the journal: No such file" in message(load, tmp_path / file)
    os.mkfifo(tmp_path / file)
    assert "not a Hale journal file: it is a FIFO" in message(load, tmp_path / file)
