"""The shell code that runs on the host: the login command and the framing of commands.

Nothing is written to the host's disks. It needs a POSIX /bin/sh, cat, id, and /proc to clean up
processes that have left our process group.

The texts passed to ssh and sudo as arguments are read by the user's login shell, whichever it is.
Therefore they are a single line without backslash and exclamation mark, which fish and csh treat
specially inside quotes.
"""

import re
import shlex
from pathlib import Path

from hale.shell import load_script
from hale.ssh.target import Target

_FUNCTIONS = load_script(Path(__file__).with_suffix(".sh"))

# `cat` stands between us and the executing shell. When our ssh ends, for whatever reason (timeout,
# Ctrl-C, kill -9, a crash), sshd closes its input; then `kill_session` kills all processes of this
# session. First the process group at once, by a signal that only `kill_session` ignores: the
# executing shell must not see the running command die and start the next one. Then, one by one,
# processes in groups of their own (`timeout` makes one) and those that survived. Only processes
# that started their own session (setsid, systemd-run) remain. Processes older than this shell
# are never touched, in case an sshd gives us no session of our own.
#
# Variables: n rounds, f found one, p process, l its stat line, s our session, g our group, b our
# start time, u the user.
_KILL_SESSION = (
    'kill_session() { trap "" TERM; kill -TERM 0; n=0; while [ $n -lt 9 ]; do n=$((n+1)) f=; '
    "for p in /proc/[0-9]*; do read -r l <$p/stat || continue; set -- ${l##*) }; "
    'if [ "$4" = "$s" ] && [ "$3" != "$g" ] && [ "$1" != Z ] && [ "${20}" -ge "$b" ]; '
    "then kill -9 ${p#/proc/} && f=1; fi; done; "
    '[ "$f" ] || break; done; kill -9 0; } 2>/dev/null'
)


# The innermost shell: announces itself and its user `$u`, then runs what it receives.
_SESSION_SHELL = (
    # proc(5): the command's name is followed by state, ppid, pgrp, session; starttime is 20th.
    "t=$1; read -r l </proc/self/stat; set -- ${l##*) }; g=$3 s=$4 b=${20}; "
    # This shell survives the signal, so that the session ends once `kill_session` is done.
    f"{_KILL_SESSION}; trap : TERM; "
    "echo $t >&2; echo $t shell $u; "
    "{ cat; kill_session; } | { /bin/sh; kill_session; }"
)
_USER = "u=$(id -un || id -u); "
_LOGIN = f"{_USER}echo $1 login $u; "


def login_command(target: Target, token: str) -> str:
    """The command for ssh to run. `token` marks its lines among banners; it is not a secret.

    It prints `TOKEN login USER` and `TOKEN shell USER` on standard output, TOKEN on standard error
    once the shell is ready, and before that `password_prompt(token)` for each prompt of sudo.
    sudo is skipped if the login user is the target user. The scripts are constant: what the target
    says are arguments of them.
    """
    if not target.become:
        return _command(_LOGIN + _SESSION_SHELL, token)
    # -H: HOME of the target user, as in a login. -S: password from standard input. sudo(8)
    ask = "-n" if target.become_password is None else '-S -p "$4"'
    shell = '/bin/sh -c "$3" sh $1'
    script = f'{_LOGIN}[ $u = "$2" ] && exec {shell}; exec sudo {ask} -H -u "$2" {shell}'
    return _command(
        script, token, target.become_user, _USER + _SESSION_SHELL, password_prompt(token)
    )


def _command(script: str, *arguments: str) -> str:
    return f"exec /bin/sh -c {shlex.join([script, 'sh', *arguments])}"


def shell_question(token: str) -> bytes:
    """A line for whatever reads in the place of our shell, if it is a shell: `TOKEN by PROGRAM`.

    Single quotes are the same in sh, fish, zsh and csh.
    """
    return f"sh -c 'echo {token} by $(readlink /proc/$PPID/exe)'\n".encode("ascii")


def password_prompt(token: str) -> str:
    """The prompt that sudo prints on standard error when it needs a password."""
    return f"{token}-password:"


def prologue(target: Target) -> bytes:
    """Define the functions of the executing shell (remote_shell.sh), for the first line it reads.

    With sudo, commands run as in testinfra's own `sudo /bin/sh -c`; without it, in the login
    shell, as plain ssh does. `$0` is what sshd would set.
    """
    if target.become:
        shell = "login_shell=/bin/sh\n"
    else:
        shell = (
            "login_shell=${SHELL:-/bin/sh}\n"
            '[ "$(command -v "${login_shell##*/}")" -ef "$login_shell" ] && '
            "login_shell=${login_shell##*/}\n"
        )
    return f"exec 6>&1 7>&2 2>/dev/null\n{shell}{_FUNCTIONS}".encode("ascii")


# `run_childless` saves two cats and three forks (1.5 instead of 3.6 ms). It is correct only for
# commands that leave no process behind: one command of this list with literal arguments, in a
# shell that reads no start-up file (bash does under sshd, hence the `case` above). `run_simple` is
# for what /bin/sh may run, where the caller guarantees this (Session.run, `simple`).
_NO_CHILDREN = re.compile(
    rb"(?:(?:/usr)?/bin/)?(?:test|cat|grep|stat|uname|hostname|readlink|id|systemctl is-active)"
    rb"(?: (?:[\w./:=,@%+^-]|'[^']*')+)*\Z"
)


def frame(command: bytes, nonce: bytes, stdin: bytes = b"", simple: bool = False) -> bytes:
    """The line for the executing shell that runs `command` and ends its output with `nonce`.

    stdout ends with the nonce, the exit status (empty if the command killed the shell that
    waited for it) and a newline; stderr ends with the nonce. `stdin` is sent like the nonce and
    written by the builtin printf: it is in no argv and on no disk.
    """
    if stdin:
        return b"run_with_stdin %s %s %s\n" % (nonce, _quote_bytes(command), _quote_bytes(stdin))
    if simple:
        function = b"run_simple"
    else:
        function = b"run_childless" if _NO_CHILDREN.match(command) else b"run_isolated"
    return b"%s %s %s\n" % (function, nonce, _quote_bytes(command))


def _quote_bytes(text: bytes) -> bytes:
    return b"'%s'" % text.replace(b"'", b"'\\''")
