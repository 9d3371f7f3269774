"""What was not seen never looks like what is not there: the script on real folders and shells.

Every way to a false PASS that we know has a test here. A file that is reported absent or empty
must be absent or empty; all else must raise Unreadable.
"""

import base64
import gzip
import os
import random
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from hale import gather
from hale.audit import cases as audit_cases
from hale.gather import RawResponse
from hale.gather import request as sent
from hale.gather import response as back
from hale.inventory import ini
from hale.model.evidence import CommandProbe, Evidence, HostView, Unreadable
from hale.standard import loader
from tests.engine.local_gather import LoginShell, Shell, ask, question, readings, tool

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


# --- files as they are ---


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


def test_a_link_whose_target_was_not_told_has_no_age(tmp_path: Path) -> None:
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


# --- what this user may not see ---


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


# --- tools that are missing, other, killed ---

BROKEN = {
    "missing": 'echo "sh: not found" >&2; exit 127',
    "not-executable": "exit 126",
    "silent": "exit 0",
    "silent-1": "exit 1",
    "killed": "kill -9 $$",
    "half-way": '$REAL "$@" | head -c 30; kill -9 $$',
    "half-way-silent": '$REAL "$@" | head -c 30',
    "busybox": 'echo "find: unrecognized: -printf" >&2; echo "BusyBox v1.36.1" >&2; exit 1',
    "memory": 'echo "grep: memory exhausted" >&2; exit 2',
    "warning": 'echo "grep: warning: something" >&2; exit 2',
    "chatty": 'echo garbage; exec $REAL "$@"',
    "echo": 'echo "$@"',
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize("name", ["find", "grep", "timeout", "base64", "gzip", "sh", "cat", "date"])
def test_a_tool_that_does_not_do_its_work(tmp_path: Path, name: str, how: str) -> None:
    path, empty = tmp_path / "swap.conf", tmp_path / "empty.conf"
    path.write_text("/dev/sda1 none swap sw 0 0\n")
    empty.write_text("")
    tool(tmp_path / "bin", name, BROKEN[how])
    commands = (CommandProbe("quick", "echo seen"), CommandProbe("slow", "echo seen", slow=True))
    found = readings(
        path, empty, tmp_path / "*.conf", shell=Shell(tools=tmp_path / "bin"), commands=commands
    )
    for pattern in (path, tmp_path / "*.conf"):
        try:
            files = {f.path: f for f in found.files(str(pattern))}
            lines = files[str(path)].lines  # a KeyError would be a false PASS
        except Unreadable:
            continue
        assert lines == ("/dev/sda1 none swap sw 0 0",)
    for command in ("quick", "slow"):
        try:
            said = found.text(command)
        except Unreadable:
            continue
        assert said == "seen\n" or (name, how) in {
            # What stands in for the command itself: it alone can know.
            ("timeout", "silent"),
            ("timeout", "echo"),
            ("timeout", "chatty"),
            ("timeout", "half-way-silent"),
            ("sh", "silent"),
            ("sh", "echo"),
            ("sh", "chatty"),
        }


def test_without_timeout_commands_still_run(tmp_path: Path) -> None:
    """A host may lack timeout(1); `command -v` must not find ours either."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "gzip", "base64", "find", "grep", "sed", "date", "cat"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    script = sent.request_script(question(commands=[CommandProbe("a", "echo seen")]), "token")
    script = script.replace(":/usr/sbin:/sbin:/usr/bin:/bin", "")
    done = subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": str(folder)}, capture_output=True, check=True
    )
    assert b"seen" in back.decode(done.stdout, b"token")


def test_more_arguments_than_a_command_may_have(tmp_path: Path) -> None:
    """All or nothing: 12 000 names of 230 characters are too much for one execve(2)."""
    folder = tmp_path / "x.d"
    folder.mkdir()
    for number in range(12_000):
        (folder / f"{number:0>225}.conf").touch()
    found = readings(folder / "*.conf", commands=[CommandProbe("a", "echo seen")])
    with pytest.raises(Unreadable, match="Argument list too long"):
        found.files(str(folder / "*.conf"))
    assert found.text("a") == "seen\n"


def test_very_many_files(tmp_path: Path) -> None:
    folder = tmp_path / "x.d"
    folder.mkdir()
    for number in range(5_000):
        (folder / f"{number}.conf").write_text(f"{number}\n")
    found = readings(folder / "*.conf").files(str(folder / "*.conf"))
    assert {f.path: f.lines for f in found} == {
        f"{folder}/{number}.conf": (str(number),) for number in range(5_000)
    }


# --- files that come and go while we look ---


@pytest.mark.parametrize("after", ["-false", "readable", "xtype"])
def test_a_file_that_vanishes(tmp_path: Path, after: str) -> None:
    """After find has told of it, before grep has read it: not an empty file."""
    path = tmp_path / "a.conf"
    path.write_text("a\n")
    (tmp_path / "empty.conf").write_text("")
    (tmp_path / "link.conf").symlink_to("empty.conf")
    script = f'$REAL "$@"; r=$?\ncase "$*" in *{after}*) rm {path};; esac\nexit $r'
    tool(tmp_path / "bin", "find", script)
    found = readings(tmp_path / "*.conf", shell=Shell(tools=tmp_path / "bin"))
    files = {f.path: f for f in found.files(str(tmp_path / "*.conf"))}
    assert not path.exists()
    if after == "-false":
        assert str(path) not in files  # it was gone before it was listed
        return
    with pytest.raises(Unreadable, match=r"changed while it was read|No such file"):
        _ = files[str(path)].lines


def test_a_file_that_vanishes_before_grep_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("a\n")
    tool(tmp_path / "bin", "grep", f'rm {path}\nexec $REAL "$@"')
    file = readings(path, shell=Shell(tools=tmp_path / "bin")).file(str(path))
    assert file
    with pytest.raises(Unreadable, match="No such file"):
        _ = file.lines


def test_a_file_that_is_renamed_between_listing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.conf"
    path.write_text("a\n")
    script = f'$REAL "$@"; r=$?\ncase "$*" in *xtype*) mv {path} {tmp_path}/b.conf;; esac\nexit $r'
    tool(tmp_path / "bin", "find", script)
    (tmp_path / "link.conf").symlink_to("/dev/null")
    names = (path, tmp_path / "b.conf", tmp_path / "link.conf")
    found = readings(*names, shell=Shell(tools=tmp_path / "bin"))
    file = found.file(str(path))
    assert file
    with pytest.raises(Unreadable, match=r"changed while it was read|No such file"):
        _ = file.lines


# --- commands ---


def test_what_commands_say_arrives_as_it_is() -> None:
    commands = [
        CommandProbe("both", "echo out; echo err >&2; exit 3"),
        CommandProbe("bytes", "printf 'a\\0b\\377'"),
        CommandProbe("input", "cat; echo end"),
        CommandProbe("quotes", "echo \"it's\" '$HOME' `echo x`"),
        CommandProbe("late", "sleep 0.2; echo late", slow=True),
        CommandProbe("later", "sleep 0.1; echo later; exit 1", slow=True),
        CommandProbe("stuck", "echo first; sleep 60", timeout=0.3, slow=True),
        CommandProbe("syntax", "if"),
        CommandProbe("killed", "kill -9 $$"),
    ]
    found = readings(commands=commands)
    both = found.output("both")
    assert (both.exit_status, both.stdout, both.stderr) == (3, "out\n", "err")
    assert found.text("bytes") == "a\0b\\xff"
    assert found.text("input") == "end\n"
    assert found.text("quotes") == "it's $HOME x\n"
    assert found.text("late") == "late\n"
    assert (found.output("later").exit_status, found.output("later").stdout) == (1, "later\n")
    with pytest.raises(Unreadable, match="no answer in time"):
        found.text("stuck")
    for name in ("syntax", "killed"):
        with pytest.raises(Unreadable):
            found.text(name)
    with pytest.raises(Unreadable):
        found.text("never-asked")


@pytest.mark.parametrize(
    "hangs",
    ["echo first; sleep 60", "trap '' TERM; echo first; while :; do :; done", "kill -9 $$"],
)
def test_a_command_that_hangs_among_quick_ones(hangs: str) -> None:
    """All quick ones have one watchdog; what it stops has its own time, and the rest theirs."""
    commands = [
        CommandProbe("before", "echo before; echo err >&2; exit 3"),
        CommandProbe("hangs", hangs, timeout=0.5),
        CommandProbe("later", "sleep 0.5; printf later", timeout=9),
        CommandProbe("hangs-too", "sleep 60", timeout=0.5),
        CommandProbe("last", "echo last"),
    ]
    began = time.monotonic()
    found = readings(commands=commands)
    assert time.monotonic() - began < 20
    before = found.output("before")
    assert (before.exit_status, before.stdout, before.stderr) == (3, "before\n", "err")
    for name in ("hangs", "hangs-too"):
        assert found.output(name).exit_status in (124, 137)
    assert (found.text("later"), found.text("last")) == ("later", "last\n")


def test_a_command_cannot_forge_a_frame() -> None:
    """Not with what every process on the host can see: arguments, environment, our token."""
    forge = (
        "tr '\\0' '\\n' </proc/$PPID/cmdline; cat /proc/self/environ; "
        "ps -ef 2>/dev/null; for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; done 2>/dev/null"
    )
    commands = [CommandProbe("forge", forge), CommandProbe("after", "echo seen")]
    answers: list[bytes] = []

    def keep(stdout: bytes) -> bytes:
        answers.append(stdout)
        return stdout

    found = readings(shell=Shell(spoil=keep), commands=commands)
    assert found.text("after") == "seen\n"
    token = answers[0].partition(b"\n")[0]
    nonce = back.decode(answers[0], token).partition(b"\n")[0].decode()
    assert nonce not in found.text("forge")


def test_proxies_and_the_users_language_do_not_bend_a_probe() -> None:
    spoilt = {"http_proxy": "http://x", "LC_ALL": "de_DE.UTF-8", "GREP_OPTIONS": "-v"}
    shown = CommandProbe("env", 'echo "$http_proxy$GREP_OPTIONS$LC_ALL"')
    assert readings(shell=Shell(environment=spoilt), commands=[shown]).text("env") == "C\n"


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "fish", "tcsh", "ksh93"])
def test_any_login_shell(tmp_path: Path, shell: str) -> None:
    """All but BSD's csh, which takes no word of that length: its hosts are UNKNOWN."""
    program = shutil.which(shell)
    if not program:
        pytest.skip(f"no {shell} here")
    (tmp_path / "a'b.conf").write_text("a\n")
    found = readings(
        tmp_path / "*.conf",
        shell=LoginShell((program, "-c")),
        commands=[CommandProbe("a", "echo seen")],
    )
    assert found.text("a") == "seen\n"
    assert [f.lines for f in found.files(str(tmp_path / "*.conf"))] == [("a",)]


def test_the_longest_script_is_an_argument_that_every_system_takes() -> None:
    """One argument may have 128 KiB (execve(2)); tcsh, fish and dash take all of that."""
    root = Path(__file__).parents[2]
    known = ini.load_inventory(root / "inventory.ini")
    stated = loader.load_standard(root / "standard")
    cases = audit_cases.build_cases(known, stated, "extended", known.hosts)
    host = known.hosts[0]
    concerned = [c for c in cases if c.host in (host, None)]
    assert (
        len(
            sent.encode_for_login_shell(
                sent.request_script(sent.build_request(host, concerned), "token")
            )
        )
        < 64 << 10
    )


@pytest.mark.parametrize("noise", [b"Welcome!\n", b"\xff\0\n", b"token\n", b"x" * 100_000])
def test_banners_around_the_answer(noise: bytes) -> None:
    shell = Shell(spoil=lambda stdout: noise + stdout + noise)
    assert readings(shell=shell, commands=[CommandProbe("a", "echo seen")]).text("a") == "seen\n"


# --- the clock ---


def test_how_late_an_answer_may_be() -> None:
    """What the host itself took is no delay; its way is, on which the clock goes on."""

    class Slow(Shell):
        def run_script(self, command: str, timeout: float) -> RawResponse:
            said = super().run_script(command, timeout)
            time.sleep(1.0)
            return said

    quick = ask(commands=[CommandProbe("a", "sleep 1")])
    late = ask(shell=Slow())
    assert quick.clock is not None
    assert late.clock is not None
    assert late.clock - late.read_at < -0.9 < quick.clock - quick.read_at
    assert quick.clock_delay < 0.9 < late.clock_delay


# --- answers that were cut or changed ---


@cache
def answer() -> tuple[str, bytes, Evidence]:
    """An answer of this machine, with the token that it was asked with."""
    sample = question(
        "/etc/passwd",
        "/etc/fstab",
        "/etc/none",
        "/etc/*.conf",
        "/etc/sysctl.d/*.conf",
        "/proc/swaps",
        commands=[CommandProbe("a", "echo a"), CommandProbe("b", "echo b", slow=True)],
    )
    recorded: list[tuple[str, bytes]] = []

    class Recorder(Shell):
        def run_script(self, command: str, timeout: float) -> RawResponse:
            said = super().run_script(command, timeout)
            recorded.append((said.stdout.partition(b"\n")[0].decode(), said.stdout))
            return said

    evidence = gather.gather_host(sample, Recorder(), 60)
    return (*recorded[0], evidence)


def judged(stdout: bytes) -> Evidence:
    token, _, whole = answer()
    known = Evidence("here", patterns=whole.patterns, read_at=whole.read_at, transport="local")
    asked = question(
        *sorted(whole.patterns),
        commands=[CommandProbe("a", "echo a"), CommandProbe("b", "echo b", slow=True)],
    )
    try:
        return back.parse_response(known, asked, token.encode(), stdout)
    except back.MalformedResponse as error:
        return Evidence("here", unreachable=str(error))


def same_or_unknown(evidence: Evidence) -> None:
    """Every question has the recorded answer, or none."""
    whole = answer()[2]
    if evidence.unreachable:
        return
    now, before = HostView(evidence, "test"), HostView(whole, "test")
    for pattern in whole.patterns:
        try:
            found = now.files(pattern)
            told = [(f, f.lines) for f in found if f.kind == "f"]
        except Unreadable:
            continue
        expected = before.files(pattern)
        assert found == expected
        assert told == [(f, f.lines) for f in expected if f.kind == "f"]
    for name in ("a", "b"):
        try:
            text = now.text(name)
        except Unreadable:
            continue
        assert text == before.text(name)


def test_the_recorded_answer_is_whole() -> None:
    whole = answer()[2]
    assert not whole.unreachable
    assert not whole.files_error
    assert judged(answer()[1]).files == whole.files


def test_an_answer_that_is_cut_off_is_none() -> None:
    """At every byte: a file that exists never becomes absent, shorter or empty."""
    _, stdout, _ = answer()
    end = len(stdout.rstrip())
    for at in [*range(200), *range(0, end, 7), *range(end - 300, end)]:
        cut = judged(stdout[:at])
        assert cut.unreachable, f"cut at {at} of {end}"


def test_a_spoilt_answer_never_tells_less() -> None:
    dice = random.Random(1)
    _, stdout, _ = answer()
    for _ in range(400):
        same_or_unknown(judged(spoilt(stdout, dice)))


def test_spoilt_frames_behind_a_good_checksum_never_tell_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that garbles before it packs: exceptions of ours must not be a way out either.

    Garbled bytes in the middle of a line look like another line; nothing can show that. But no
    other file and no other command may look different for it.
    """
    dice = random.Random(2)
    token, stdout, whole = answer()
    frames = back.decode(stdout, token.encode())
    owners = owned(frames)
    compared = 0
    for _ in range(800):
        spoil, at, to = spoilt_at(frames, dice)
        monkeypatch.setattr(back, "decode", lambda *_, spoil=spoil: spoil)
        found = judged(b"")
        left_alone(found, whole, touched(owners, at, to))
        compared += not found.unreachable
    assert compared > 100, "most of the answers must be read, or this compares nothing"


def touched(owners: list[str], at: int, to: int) -> set[str]:
    """The files and commands between `at` and `to`, and their neighbours on both sides, which a
    garbled separator lets run into each other.
    """
    before = next((owner for owner in reversed(owners[:at]) if owner), "")
    after = next((owner for owner in owners[to + 1 :] if owner), "")
    return {before, *owners[at : to + 1], after}


def left_alone(found: Evidence, whole: Evidence, spoilt: set[str]) -> None:
    """Every file and command that is not `spoilt` is as recorded, or is said to be unknown."""
    if found.unreachable:
        return
    for name in {"a", "b"} - spoilt:
        now, before = found.outputs.get(f"test.{name}"), whole.outputs[f"test.{name}"]
        assert now is None or now.exit_status != 0 or now.stdout == before.stdout
    if found.files_error:
        return
    for path, before_file in whole.files.items():
        if path not in spoilt:
            now_file = found.files[path]
            assert now_file.error or now_file == before_file, path


def owned(frames: bytes) -> list[str]:
    """For every byte the file or the command it tells of, "" for what tells of all."""
    owners = [""] * len(frames)

    def own(start: int, end: int, name: bytes) -> None:
        owners[start:end] = [name.decode()] * (end - start)

    nonce = frames.partition(b"\n")[0]
    for frame in re.finditer(nonce + rb" (.)\s(.*?)(?=" + nonce + rb"|\Z)", frames, re.DOTALL):
        start, end = frame.span(2)
        body = frames[:end]
        match frame[1]:
            case b"C":
                own(start, end, frame[2].partition(b"\n")[0].removeprefix(b"test."))
            case b"L" | b"M":
                first = body.index(b"\n", start) + 1 if frame[1] == b"L" else start
                width = 7 if frame[1] == b"L" else 3
                for m in re.compile(rb"([^\0]+)\0(?:[^\0]*\0){%d}" % width).finditer(body, first):
                    own(*m.span(), m[1])
            case b"G":
                first = body.index(b"\0\0", start) + 2
                for m in re.compile(rb"([^\0]+)\0").finditer(body[:first], start):
                    own(*m.span(), m[1])
                for m in re.compile(rb"([^\0]+)\0\d+:.*\n").finditer(body, first):
                    own(*m.span(), m[1])
    return owners


def test_a_frame_that_is_missing_never_tells_less(monkeypatch: pytest.MonkeyPatch) -> None:
    token, stdout, _ = answer()
    frames = back.decode(stdout, token.encode())
    nonce = frames.partition(b"\n")[0]
    parts = frames.split(nonce)
    for gone in range(2, len(parts)):
        for last in (gone + 1, gone + 2, gone + 4):
            left = nonce.join([*parts[:gone], *parts[last:]])
            monkeypatch.setattr(back, "decode", lambda *_, left=left: left)
            same_or_unknown(judged(b""))


@pytest.mark.parametrize("kind", [b"H", b"L", b"M", b"G"])
def test_a_frame_that_comes_twice_leaves_the_files_unknown(
    monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    """A command's end that was garbled into ` M` must not hide when the links' targets changed."""
    token, stdout, _ = answer()
    frames = back.decode(stdout, token.encode())
    nonce = frames.partition(b"\n")[0]
    start, end = nonce + b" Z ", nonce + b" " + kind + b" 0\n"
    monkeypatch.setattr(back, "decode", lambda *_: frames.replace(start, end + start))
    found = judged(b"")
    assert not found.unreachable
    assert found.files_error == "the files were not read: the host's answer has a gap"


def test_an_answer_packed_only_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """gzip was killed: what it had written unpacks well, up to there."""
    token, stdout, _ = answer()
    packed = base64.b64decode(stdout.removeprefix(token.encode()).partition(token.encode())[0])
    for end in (*range(20, len(packed), 97), len(packed) - 1):
        half = base64.b64encode(packed[:end])
        cut = judged(b"%s\n%s\n%s\n" % (token.encode(), half, token.encode()))
        assert cut.unreachable == "the host's answer is truncated"
    twice = base64.b64encode(packed + packed)
    assert judged(b"%s\n%s\n%s\n" % (token.encode(), twice, token.encode())).unreachable


def spoilt(data: bytes, dice: random.Random) -> bytes:
    return spoilt_at(data, dice)[0]


def spoilt_at(data: bytes, dice: random.Random) -> tuple[bytes, int, int]:
    """The data with a part changed, and where that part begins and ends."""
    at = dice.randrange(len(data))
    to = min(len(data), at + dice.choice((1, 2, 10, 100, 1000)))
    changed = [
        data[:at] + data[to:],
        data[:at] + bytes(dice.randrange(256) for _ in range(to - at)) + data[to:],
        data[:to] + data[at:],
        data[:at] + b"\0" + data[at:],
        data[:at] + b"\n" + data[at:],
    ]
    kind = dice.randrange(5)
    return changed[kind], at, at if kind > 2 else to


def test_frames_of_another_nonce_are_none() -> None:
    _, stdout, _ = answer()
    other = ask("/etc/passwd", shell=Shell(spoil=lambda _: stdout))
    assert other.unreachable == "the host did not run the script"


@pytest.mark.parametrize(
    "stdout", [b"", b"\n", b"This account is currently not available.\n", b"\0" * 1000]
)
def test_no_answer(stdout: bytes) -> None:
    found = ask("/etc/passwd", shell=Shell(spoil=lambda _: stdout))
    assert found.unreachable.startswith("the host did not run the script")


def test_an_answer_that_unpacks_without_end() -> None:
    """16 KiB of gzip can be 16 MiB: the operator's memory is not the host's to fill."""
    bomb = base64.b64encode(gzip.compress(b"\0" * (back.MAX_RESPONSE + 1)))

    def answered(stdout: bytes) -> bytes:
        token = stdout.partition(b"\n")[0] + b"\n"
        return token + bomb + b"\n" + token

    found = ask("/etc/passwd", shell=Shell(spoil=answered))
    assert found.unreachable == "the host's answer is longer than 16 MiB"


# --- all hosts at once ---


def test_a_mistake_of_ours_spoils_one_host_only() -> None:
    class Broken(Shell):
        def run_script(self, command: str, timeout: float) -> RawResponse:
            raise KeyError("oops")

    one, other = question("/etc/passwd"), question("/etc/passwd")
    named = sent.ProbeRequest(
        type(other.host)("other", None, frozenset(), {}, other.host.where), (), other.patterns
    )
    found = gather.gather_hosts([(one, Broken()), (named, Shell())], 10)
    assert "KeyError" in found["here"].unreachable
    assert not found["other"].unreachable
