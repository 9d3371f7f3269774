"""evidence.json: written whole, for the operator alone; what is none is said to be none."""

import json
import math
import os
import stat
from pathlib import Path

import pytest

from hale.audit import evidence_file
from hale.audit.evidence_file import EvidenceFile
from hale.files import atomic
from hale.model.errors import UserError
from hale.model.evidence import Evidence, File, HostView, Output, Unreadable

DATA = Path(__file__).parent / "data/evidence.json"


def saved(**hosts: Evidence) -> EvidenceFile:
    return EvidenceFile(evidence_file.SCHEMA, "inventory.ini", "0" * 64, "document", hosts)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    gathered = Evidence(
        "a",
        outputs={"x.y": Output("y", 3, "ü\x00\u2028", "err\x1b[0m", 1.5, "script")},
        files={"/a\nb": File("/a\nb", "f", None, 1.25, ("", "\r"), "")},
        patterns=frozenset({"/a*"}),
        unsearchable={"/x": "Permission denied"},
        clock=None,
    )
    path = tmp_path / "evidence.json"
    evidence_file.save_evidence(saved(a=gathered), path)
    assert evidence_file.load_evidence(path) == saved(a=gathered)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # it holds the hosts' configuration


def test_a_path_that_an_earlier_release_read_by_a_pattern() -> None:
    here = Evidence(
        "a",
        files={"/a/b.yaml": File("/a/b.yaml", "f", None, 1.0, ("x",))},
        patterns=frozenset({"/a/*.yaml"}),
    )
    view = HostView(here, "x")
    assert [f.path for f in view.files("/a/b.yaml", "/a/c.yaml")] == ["/a/b.yaml"]
    for pattern in ("/a/b.yam", "/a/*.yml", "/a/b*.yaml", "/a/.b.yaml", "/a/b/c.yaml"):
        with pytest.raises(Unreadable, match="is not in the evidence"):
            view.files(pattern)


def test_evidence_of_earlier_releases_is_found_by_renamed_subjects(tmp_path: Path) -> None:
    output = Output("kube-scheduler", 0, "lease", "", 1.5)
    gathered = Evidence("a", outputs={"leaders.kube-scheduler": output, "swap.on": output})
    path = tmp_path / "evidence.json"
    evidence_file.save_evidence(saved(a=gathered), path)
    found = evidence_file.load_evidence(path).hosts["a"]
    assert HostView(found, "leader_election").text("kube-scheduler") == "lease"
    assert HostView(found, "swap").text("on") == "lease"


def test_what_is_recorded_is_loaded() -> None:
    found = evidence_file.load_evidence(DATA)
    assert len(found.hosts) == 5
    assert found.hosts["k8s-node-02"].unreachable


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "not a Hale evidence file"),
        (b"{}", "schema none; this version reads hale.evidence/"),
        (
            b'{"schema": "hale.evidence/9"}',
            "schema hale.evidence/9; this version reads hale.evidence/",
        ),
        (b'{"schema": 1}', "not a Hale evidence file"),
        (
            b'{"schema": "hale.evidence/1"}',
            "not a Hale evidence file: Object missing required field",
        ),
        (b"\xff\xfe\0", "not a Hale evidence file"),
        (b'{"schema": "caf\xe9"}', "not a Hale evidence file"),
        (b"\xef\xbb\xbf{}", "not a Hale evidence file"),
        (b"\0" * 1000, "not a Hale evidence file"),
        (b"[" * 100_000, "not a Hale evidence file"),
        (b'{"x": ' + b"[" * 100_000, "not a Hale evidence file"),
        (DATA.read_bytes()[:-1000], "not a Hale evidence file"),
        (DATA.read_bytes() + b"{}", "not a Hale evidence file"),
        (DATA.read_bytes().replace(b"\n", b"\r\n"), ""),
    ],
    ids=[
        "empty", "other", "newer", "number", "nothing-else", "utf16", "latin1", "bom", "nul",
        "deep", "deep-inside", "cut-off", "two", "crlf",
    ],
)  # fmt: skip
def test_malformed(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "evidence.json"
    path.write_bytes(content)
    if not error:
        assert evidence_file.load_evidence(path) == evidence_file.load_evidence(DATA)
        return
    with pytest.raises(UserError) as raised:
        evidence_file.load_evidence(path)
    assert str(raised.value).startswith(f"{path}: {error}")


@pytest.mark.parametrize(
    ("path", "error"),
    [(".", "Is a directory"), ("none.json", "No such file"), ("/proc/self/mem", "Input/output")],
)
def test_what_is_no_file(tmp_path: Path, path: str, error: str) -> None:
    with pytest.raises(UserError, match=f"cannot read the evidence: {error}"):
        evidence_file.load_evidence(tmp_path / path)


def test_the_answers_of_another_host(tmp_path: Path) -> None:
    complete = json.loads(DATA.read_text())
    complete["hosts"]["k8s-master-02"] = complete["hosts"]["k8s-master-01"]
    path = tmp_path / "evidence.json"
    path.write_text(json.dumps(complete))
    with pytest.raises(UserError, match="k8s-master-02 has the answers of k8s-master-01"):
        evidence_file.load_evidence(path)


# --- atomic.write ---


def test_a_file_is_written_completely_or_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    atomic.write(path, b"old", mode=0o640)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"old", 0o640)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="file: cannot be written: No space left on device"):
        atomic.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_the_operator_named_may_be_a_pipe_or_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        atomic.write_named(pipe, b"page")
        assert os.read(reader, 100) == b"page"
    finally:
        os.close(reader)
    atomic.write_named(Path("/dev/null"), b"page")
    with pytest.raises(UserError, match="/dev/full: cannot be written: No space left on device"):
        atomic.write_named(Path("/dev/full"), b"page")
    assert all(stat.S_ISCHR(Path(p).stat().st_mode) for p in ("/dev/null", "/dev/full"))
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_file_that_cannot_be_opened_stays(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot be written: Is a directory"):
        atomic.write_named(tmp_path / "folder", b"page")
    assert (tmp_path / "folder").is_dir()


def test_no_time_is_nan() -> None:
    """nan is null in JSON, and null is no number: the file could not be read again."""
    for gathered in evidence_file.load_evidence(DATA).hosts.values():
        assert all(math.isfinite(f.changed) for f in gathered.files.values())
