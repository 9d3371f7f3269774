"""Nasty commands, and in what their results differ from plain ssh's, each with the reason.

A case without `hale` must be byte-equal to plain ssh in exit status, stdout and stderr.
"""

from dataclasses import dataclass
from typing import Any

from hale.ssh import ConnectionLost

SIGNAL = "ssh says 255 for every death by signal; we say 128+n, as shells do"
NO_STDIN = "stdin is /dev/null: what plain ssh passes on there is pytest's"
ENDED = "plain ssh says 255, which could be a status; here it is an error"


@dataclass(frozen=True)
class Case:
    """One command; `hale` are the fields that differ from plain ssh, `why` says for what reason.

    `ssh_only`: makes no sense without a real sshd (it would hit the test's own processes, or
    looks at what sshd sets).
    """

    command: bytes
    hale: dict[str, Any] | None = None
    why: str = ""
    ssh_only: bool = False

    def __str__(self) -> str:
        return ascii(self.command[:36].decode("latin-1")) if self.command else "empty"


_SAME = [
    b"exit 3",
    b"exit 255",
    b"exit 124",
    b"true\n\n",
    b" ",
    b"#x",
    b"cd /tmp; pwd; set -e; false; echo no",
    b"pwd",
    b"cat; echo after",
    b"read x; echo rc=$?",
    b"printf 'a\\0b\\0\\377\\376\\n\\0'",
    b"printf '\\303\\050 \\240\\241'",
    b"echo '\xc3\xa9\x81\x82\x88\xff' \\\\ '%s %d' $'\\t'",
    b"\xff\xfe",
    b"printf nonl",
    b"printf nonl >&2; printf x",
    b"echo '\n\n'",
    b"printf '%s' '$HOME `id` \"x\" !!'",
    b"seq 1 750000",  # 5 MB
    b"seq 1 200000; seq 1 200000 >&2",
    b"for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done",
    b"yes | head -1; echo done",
    b"(sleep 0.4; echo late) & echo now",
    b"(sleep 0.4; echo late >&2) & exit 4",
    b"exec 5>&1; (sleep 0.3; echo late >&5) & echo now",
    b"exec >/dev/null 2>&1; (sleep 0.2; echo b) &",
    b"nohup sleep 2 >/dev/null 2>&1 </dev/null & echo bg $?",
    b"setsid sleep 0.3 & echo hi",
    b"(sleep 0.2; exit 3) & wait $!; echo $?",
    b"set -m; sleep 0.1 & wait; echo done",
    b"timeout 5 sleep 0.1; echo $?",
    b"wait; jobs; echo $!",
    b"if then",
    b"echo 'unclosed",
    b"echo } ; echo ')' ; }",
    b"nosuchcommand",
    b'echo "$0 $# $-"',
    b"[[ a == a* ]] && echo yes",
    b"exec 1>&-; exec 2>&-; exit 7",
    b"exec sh -c 'echo $0; exit 9'",
    b"trap 'echo bye' EXIT; exit 5",
    b"echo a\necho b\n# c\ncat <<E\nhe'r\"e\nE\n",
    b"ls /proc/self/fd",
    b"echo x >/dev/stdout; echo y >/dev/stderr",
    b"test -t 0 || test -t 1 || echo notty; tty",
    b"umask; ulimit -a",
    b"ulimit -n 5; cat /dev/null; echo $?",
    b"grep -e SigBlk -e SigIgn -e Groups /proc/self/status",
    b"alias; set -o",
    b"run_isolated 1 2; type run_isolated; echo $exit_status$login_shell",  # the framing's names
    b"echo " + b"A" * 120_001 + b" | wc -c",
    b"find / -maxdepth 1 -name etc; ls -d /nonexist",
    b"LC_ALL=xx_YY.UTF-8 ls -d /nonexist",
]

# These may take the path without relays.
_SIMPLE = [
    b"cat /etc/hostname",
    b"grep nosuch /etc/passwd",
    b"grep '(' /etc/passwd",
    b"stat -c %n '/etc/my file'",
    b"test -e '/no such'",
    b"test -e /etc/passwd",
    b"id -u",
    b"uname -r",
    b"[ 1 = 2 ]",
]

_DIFFERENT = [
    Case(b"kill $$", {"exit_status": 143}, SIGNAL),
    Case(b"kill -9 $$", {"exit_status": 137}, SIGNAL),
    Case(b"kill -INT $$; echo survived", {"exit_status": 130}, SIGNAL),
    Case(b"kill -PIPE $$", {"exit_status": 141}, SIGNAL),
    Case(b"kill 0", {"error": ConnectionLost}, ENDED),
    Case(b"kill -9 $PPID", {"error": ConnectionLost}, ENDED, ssh_only=True),
    Case(b"readlink /proc/self/fd/0", {"stdout": b"/dev/null\n"}, NO_STDIN, ssh_only=True),
    Case(
        b"",
        {"stdout": b"", "stderr": b""},
        "no command is a login shell with motd for ssh, and nothing for us",
        ssh_only=True,
    ),
]

_ENVIRONMENT = [
    Case(
        b"env | grep -v -e ^SSH_CLIENT= -e ^SSH_CONNECTION= -e ^XDG_SESSION_ID= | sort",
        ssh_only=True,
    ),
    Case(b"echo $SHLVL", ssh_only=True),
]

CASES = [*map(Case, _SAME), *map(Case, _SIMPLE), *_DIFFERENT, *_ENVIRONMENT]

#: For a login shell without start-up files, where simple commands take a shorter path.
SIMPLE = [*map(Case, _SIMPLE), *_DIFFERENT, *_ENVIRONMENT]

#: For a login shell with a syntax of its own.
FISH = [
    Case(command)
    for command in (
        b"exit 3",
        b"exit 255",
        b"echo (echo inner) $status",
        b"set x a b; echo $x[2]",
        b"if true; echo yes; end",
        b"if then",
        b"nosuchcommand",
        b"echo 'a\\'b\\\\c' \"d\"",
        b"printf 'a\\0b\\377'",
        b"seq 1 100000",
        b"sh -c 'sleep 0.3; echo late' & echo now",
        b"cat; echo after",
        b"test -e /etc/passwd",
        b"cat /etc/hostname",
        b"pwd",
    )
]
