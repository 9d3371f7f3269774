"""Tools that are missing, other or killed, and files that come and go, make no file look absent."""

import subprocess
from pathlib import Path

import pytest

from hale.gather import request as sent
from hale.gather import response as back
from hale.model.evidence import CommandProbe, Unreadable
from tests.engine.local_gather import Shell, question, readings, tool

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
            output = found.text(command)
        except Unreadable:
            continue
        assert output == "seen\n" or (name, how) in {
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
