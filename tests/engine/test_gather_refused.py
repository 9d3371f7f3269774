"""What a user may not read, and what is not where it should be, never looks absent."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hale.model.evidence import Unreadable
from tests.engine.local_gather import Shell, readings, tool

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own tmp_path is root's alone."""
    with tempfile.TemporaryDirectory(prefix="hale-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        subprocess.run(["chmod", "-R", "u+rwX", name], check=True)


@as_root
@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400, 0o600], ids=lambda m: f"{m:04o}")
def test_a_folder_that_may_not_be_searched(open_path: Path, mode: int) -> None:
    folder = open_path / "x.d"
    folder.mkdir()
    (folder / "a.conf").write_text("a\n")
    folder.chmod(mode)
    found = readings(folder / "*.conf", shell=Shell(user=NOBODY))
    with pytest.raises(Unreadable, match="Permission denied"):
        found.files(str(folder / "*.conf"))


@as_root
@pytest.mark.parametrize("pattern", ["x.d/*/a.conf", "*/y/a.conf", "x.d/y/a.conf", "x.d/*/*.conf"])
@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400, 0o600, 0o700], ids=lambda m: f"{m:04o}")
def test_a_folder_further_up_that_may_not_be_searched(
    open_path: Path, pattern: str, mode: int
) -> None:
    for name in ("open/y", "x.d/y"):
        (open_path / name).mkdir(parents=True)
        (open_path / name / "a.conf").write_text("a\n")
    (open_path / "x.d").chmod(mode)
    with pytest.raises(Unreadable, match="Permission denied"):
        readings(open_path / pattern, shell=Shell(user=NOBODY)).files(str(open_path / pattern))


@as_root
def test_a_known_name_in_a_folder_that_may_be_entered_but_not_listed(open_path: Path) -> None:
    folder = open_path / "x.d"
    folder.mkdir()
    (folder / "a.conf").write_text("a\n")
    folder.chmod(0o711)
    found = readings(folder / "a.conf", folder / "b.conf", shell=Shell(user=NOBODY))
    file = found.file(str(folder / "a.conf"))
    assert file
    assert file.lines == ("a",)
    assert found.file(str(folder / "b.conf")) is None


@as_root
def test_a_file_that_may_not_be_read(open_path: Path) -> None:
    (open_path / "secret.conf").write_text("a\n")
    (open_path / "secret.conf").chmod(0o600)
    (open_path / "empty.conf").write_text("")
    secret, empty = str(open_path / "secret.conf"), str(open_path / "empty.conf")
    found = readings(open_path / "*.conf", shell=Shell(user=NOBODY))
    files = {f.path: f for f in found.files(str(open_path / "*.conf"))}
    with pytest.raises(Unreadable, match="Permission denied"):
        _ = files[secret].lines
    assert files[empty].lines == ()


def test_a_folder_that_is_a_loop_of_links(tmp_path: Path) -> None:
    (tmp_path / "x.d").symlink_to("x.d")
    for pattern in ("x.d/*.conf", "x.d/a.conf"):
        with pytest.raises(Unreadable, match="Too many levels"):
            readings(tmp_path / pattern).files(str(tmp_path / pattern))


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.d").write_text("")
    found = readings(tmp_path / "x.d/*.conf", tmp_path / "x.d/a.conf")
    assert found.files(str(tmp_path / "x.d/*.conf")) == ()
    assert found.file(str(tmp_path / "x.d/a.conf")) is None


def test_one_file_with_an_input_error_spoils_no_other(tmp_path: Path) -> None:
    """Reading /proc/self/mem from its beginning is EIO, as from a dying disk."""
    (tmp_path / "fine").write_text("a\n")
    (tmp_path / "empty").write_text("")
    found = readings(tmp_path / "fine", "/proc/self/mem", tmp_path / "empty")
    fine, empty, failing = found.files(
        str(tmp_path / "fine"), str(tmp_path / "empty"), "/proc/self/mem"
    )
    assert (fine.lines, empty.lines) == (("a",), ())
    with pytest.raises(Unreadable, match="Input/output error"):
        _ = failing.lines


@pytest.mark.parametrize("why", ["Input/output error", "Stale file handle", "Permission denied"])
@pytest.mark.parametrize("what", ["x.d", "x.d/a.conf"])
def test_what_find_cannot_look_at(tmp_path: Path, why: str, what: str) -> None:
    """A disk that fails, an NFS server that forgot us: no ordinary test can have the real ones."""
    (tmp_path / "x.d").mkdir()
    (tmp_path / "x.d/b.conf").write_text("b\n")
    complain = f"""echo "find: '{tmp_path / "x.d"}{what[3:]}': {why}" >&2"""
    when = "1" if what == "x.d/a.conf" else "0"
    tool(
        tmp_path / "bin",
        "find",
        f'case "$*" in *"-false") k=0;; *printf*readable*) k=1;; *) k=2;; esac\n'
        f'if [ $k = {when} ]; then {complain}; $REAL "$@"; exit 1; fi\nexec $REAL "$@"',
    )
    shell = Shell(tools=tmp_path / "bin")
    found = readings(tmp_path / "x.d/*.conf", tmp_path / "x.d/a.conf", shell=shell)
    wanted = "x.d/a.conf" if what == "x.d/a.conf" else "x.d/*.conf"
    with pytest.raises(Unreadable):
        found.files(str(tmp_path / wanted))
