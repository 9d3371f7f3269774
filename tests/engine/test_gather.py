"""Files arrive as they are: the script that reads a host, on real folders.

Every way to a false PASS that we know has a test here or in the other test_gather_*. A file that is
reported absent or empty must be absent or empty; all else must raise Unreadable.
"""

import base64
import gzip
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hale.gather import request as sent
from hale.gather import response as back
from hale.model.evidence import Unreadable
from tests.engine.local_gather import Shell, question, readings, tool


def test_absent_empty_and_full(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "newline").write_bytes(b"\n")
    (tmp_path / "open-end").write_bytes(b"a\nb")
    names = ("absent", "empty", "newline", "open-end")
    found = readings(*(tmp_path / n for n in names))
    assert found.file(str(tmp_path / "absent")) is None
    lines = [file.lines for n in names[1:] if (file := found.file(str(tmp_path / n)))]
    assert lines == [(), ("",), ("a", "b")]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a = 1\r\nb = 2\r\n", ("a = 1\r", "b = 2\r")),
        (b"a\0b\n\0\n", ("a\0b", "\0")),
        (b"caf\xe9\n", ("caf\\xe9",)),
        ("ünïcode\u2028same line\n".encode(), ("ünïcode\u2028same line",)),
        (b"\xef\xbb\xbfa\n", ("\ufeffa",)),
        (b"12:34\n:\n", ("12:34", ":")),
        (b"x" * 65_536 + b"\nend\n", ("x" * 65_536, "end")),  # the longest (hale.model.budgets)
    ],
    ids=["crlf", "nul", "latin1", "unicode", "bom", "colons", "long-line"],
)
def test_bytes_arrive_as_they_are(tmp_path: Path, content: bytes, lines: tuple[str, ...]) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    file = readings(path).file(str(path))
    assert file
    assert file.lines == lines


@pytest.mark.parametrize(
    "name",
    ["a b", "a'b", 'a"b', "a\\b", "$(id)", "a;b", "-n", "*", "[x]", "a\nb", "ünïcode", "grep: x"],
)
def test_names_arrive_as_they_are(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("seen\n")
    found = readings(tmp_path / "*").files(str(tmp_path / "*"))
    assert [(f.path, f.lines) for f in found] == [(str(tmp_path / name), ("seen",))]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.conf")).write_text("seen\n")
    found = readings(tmp_path / "*.conf").files(str(tmp_path / "*.conf"))
    assert [(f.path, f.lines) for f in found] == [(f"{tmp_path}/\\xff.conf", ("seen",))]


def test_a_folder_with_two_names_is_read_once(tmp_path: Path) -> None:
    """/lib, where it is but a link to /usr/lib; where it is not, nothing of it is left out."""
    (tmp_path / "usr/lib/x").mkdir(parents=True)
    (tmp_path / "usr/lib/x/a").write_text("usr\n")
    patterns = ("/usr/lib/x/*", "/lib/x/*", "/lib/alone")

    def found() -> list[str]:
        # The same script for a root of ours, with the one part that no test can have elsewhere.
        command = sent.request_script(question(*patterns), "token")
        for name in ("usr/lib", "lib"):
            command = re.sub(rf"(?<=\s)/{name}(?=[/\s])", f"{tmp_path}/{name}", command)
        ran = subprocess.run(["sh", "-c", command], capture_output=True, check=True).stdout
        answer = gzip.decompress(base64.b64decode(ran.split(b"token\n")[1]))
        listed = answer.split(b" L ")[1].partition(b"\n")[2].split(b" S ")[0]
        return [p for p in listed.decode().split("\0") if p.startswith(str(tmp_path))]

    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "usr/lib/alone").touch()
    assert found() == [f"{tmp_path}/usr/lib/x/a", f"{tmp_path}/lib/alone"]
    (tmp_path / "lib").unlink()
    (tmp_path / "lib/x").mkdir(parents=True)
    (tmp_path / "lib/x/b").touch()
    assert found() == [f"{tmp_path}/usr/lib/x/a", f"{tmp_path}/lib/x/b"]


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("one\ntwo\n")
    (tmp_path / "b.conf").write_text("")
    found = readings(path, tmp_path / "*.conf", tmp_path / "?.conf")
    assert [f.lines for f in found.files(str(tmp_path / "*.conf"))] == [("one", "two"), ()]


def test_dot_files_need_a_dot(tmp_path: Path) -> None:
    (tmp_path / ".hidden.conf").write_text("a\n")
    (tmp_path / "seen.conf").write_text("b\n")
    found = readings(tmp_path / "*.conf").files(str(tmp_path / "*.conf"))
    assert [f.path for f in found] == [str(tmp_path / "seen.conf")]


def test_links(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("a\n")
    (tmp_path / "folder").mkdir()
    for name, to in (
        ("file", "target"),
        ("dangling", "nowhere"),
        ("loop", "loop"),
        ("to-folder", "folder"),
        ("null", "/dev/null"),
    ):
        (tmp_path / name).symlink_to(to)
    found = {f.path: f for f in readings(tmp_path / "*").files(str(tmp_path / "*"))}
    by_name = {Path(path).name: file for path, file in found.items()}
    assert by_name["file"].lines == ("a",)
    assert by_name["file"].target == "target"
    assert by_name["null"].masked
    for name in ("dangling", "loop", "to-folder", "null"):
        assert by_name[name].kind == "l"
        with pytest.raises(Unreadable):
            _ = by_name[name].lines
    assert by_name["dangling"].error == "a link to nowhere, which is missing"
    assert by_name["folder"].kind == "d"


def test_a_link_is_as_young_as_what_it_leads_to(tmp_path: Path) -> None:
    """A setting counts as proven by a reboot when its file is older than the boot."""
    (tmp_path / "target").write_text("a\n")
    (tmp_path / "link").symlink_to("target")
    old = (tmp_path / "link").lstat()
    os.utime(tmp_path / "target", (4e9, 4e9))
    file = readings(tmp_path / "link").file(str(tmp_path / "link"))
    assert file
    assert file.changed == 4e9 > old.st_ctime


@pytest.mark.skipif(sys.platform != "linux", reason="os.makedev is that of this system")
@pytest.mark.parametrize("number", [(8, 1), (0, 24), (259, 0), (4095, 1048575), (1 << 19, 1 << 30)])
def test_the_number_of_a_device(number: tuple[int, int]) -> None:
    major, minor = number
    raw = b"%d" % os.makedev(major, minor)
    assert back._device(raw) == f"{major}:{minor}"


def test_the_device_of_a_file_and_of_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a\n")
    with tempfile.NamedTemporaryFile(dir="/dev/shm", prefix="hale-test-") as elsewhere:
        (tmp_path / "link").symlink_to(elsewhere.name)
        found = readings(tmp_path / "*").files(str(tmp_path / "*"))
        devices = {Path(f.path).name: f.device for f in found}
        here, there = (p.stat().st_dev for p in (tmp_path / "file", Path(elsewhere.name)))
    assert here != there
    wanted = {"file": here, "link": there}
    assert devices == {n: f"{os.major(d)}:{os.minor(d)}" for n, d in wanted.items()}


def test_a_link_whose_target_was_not_read_has_no_age(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("a\n")
    (tmp_path / "link").symlink_to("target")
    tool(tmp_path / "bin", "find", '[ "$1" = -L ] && exit 137\nexec $REAL "$@"')
    file = readings(tmp_path / "link", shell=Shell(tools=tmp_path / "bin")).file(
        str(tmp_path / "link")
    )
    assert file
    assert (file.lines, file.changed, file.device) == (("a",), 0.0, "")


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    """A FIFO would hang, a device may act; a whiteout of an overlay is a device too."""
    os.mkfifo(tmp_path / "fifo.conf")
    (tmp_path / "to-fifo.conf").symlink_to("fifo.conf")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket.conf"))
        if os.geteuid() == 0:
            os.mknod(tmp_path / "whiteout.conf", stat.S_IFCHR, os.makedev(0, 0))
        found = readings(tmp_path / "*.conf").files(str(tmp_path / "*.conf"))
    kinds = {Path(f.path).name: f.kind for f in found}
    assert kinds.pop("whiteout.conf", "c") == "c"
    assert kinds == {"fifo.conf": "p", "socket.conf": "s", "to-fifo.conf": "l"}
    for file in found:
        with pytest.raises(Unreadable):
            _ = file.lines
