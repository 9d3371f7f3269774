"""What commands print arrives as it is, whatever hangs, forges or surrounds it; and the clock."""

import re
import shutil
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from hale import gather
from hale.audit import cases as audit_cases
from hale.gather import RawResponse
from hale.gather import request as sent
from hale.gather import response as back
from hale.inventory import ini
from hale.model.evidence import CommandProbe, Unreadable
from hale.standard import loader
from tests.engine.local_gather import HOST, LoginShell, Shell, ask, readings


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


def test_what_two_subjects_read_alike_runs_once(tmp_path: Path) -> None:
    same, late = (
        CommandProbe(name, f"echo run >>{tmp_path}/{name}; cat {tmp_path}/{name}", slow=slow)
        for name, slow in (("same", False), ("late", True))
    )
    probes = [("a", same), ("b", late), ("c", same), ("d", late), ("e", CommandProbe("x", "echo"))]
    found = gather.gather_host(sent.request_of_probes(HOST, probes), Shell(), 60)
    outputs = {name: out.stdout for name, out in found.outputs.items() if name != "e.x"}
    assert outputs == dict.fromkeys(("a.same", "b.late", "c.same", "d.late"), "run\n")
    assert [out.name for name, out in found.outputs.items()] == list(found.outputs)


def test_what_two_subjects_search_alike_is_one_search_for_the_lines_of_both(tmp_path: Path) -> None:
    searched = tmp_path / "searched"
    searched.write_text("one\ntwo $x\nthree's\nfour\n")
    search = CommandProbe("found", f'echo run >>{tmp_path}/runs; grep -E -e "$1" {searched}')
    probes = [
        ("a", replace(search, lines=("^one", "[$]x$"))),
        ("b", replace(search, lines=("e's$", "^one"))),
        ("c", replace(search, name="other", lines=("four",))),
    ]
    found = gather.gather_host(sent.request_of_probes(HOST, probes), Shell(), 60)
    assert {name: out.stdout for name, out in found.outputs.items()} == {
        **dict.fromkeys(("a.found", "b.found"), "one\ntwo $x\nthree's\n"),
        "c.other": "four\n",
    }
    assert (tmp_path / "runs").read_text() == "run\n" * 2


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
    assert time.monotonic() - began < 50
    before = found.output("before")
    assert (before.exit_status, before.stdout, before.stderr) == (3, "before\n", "err")
    for name in ("hangs", "hangs-too"):
        assert found.output(name).exit_status in (124, 137)
    assert (found.text("later"), found.text("last")) == ("later", "last\n")


def test_a_command_cannot_forge_a_frame() -> None:
    """Not with what every process on the host can see: arguments, environment, our token.

    Of all that only what looks like a nonce is printed, since other programs of this machine may
    have a mebibyte of arguments.
    """
    forge = (
        "{ tr '\\0' '\\n' </proc/$PPID/cmdline; cat /proc/self/environ; ps -ef; "
        "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; done; } 2>/dev/null | "
        "grep -aoE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' | sort -u; "
        "echo 00000000-0000-0000-0000-000000000000"
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
    visible = found.text("forge").split("\n")[:-1]
    assert re.fullmatch(visible[-1].replace("0", "[0-9a-f]"), nonce), "a nonce looks otherwise"
    assert nonce not in visible


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


def test_how_late_an_answer_may_be() -> None:
    """What the host itself took is no delay; its way is, on which the clock goes on."""

    class Slow(Shell):
        def run_script(self, command: str, timeout: float) -> RawResponse:
            printed = super().run_script(command, timeout)
            time.sleep(1.0)
            return printed

    quick = ask(commands=[CommandProbe("a", "sleep 1")])
    late = ask(shell=Slow())
    assert quick.clock is not None
    assert late.clock is not None
    assert late.clock - late.read_at < -0.9 < quick.clock - quick.read_at
    assert quick.clock_delay < 0.9 < late.clock_delay
