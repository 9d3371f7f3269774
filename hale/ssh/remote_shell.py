"""The shell text that runs on the host: the login command and the framing of commands.

Nothing is written to the host's disks. Needed there: a POSIX /bin/sh, cat, id, and /proc for
the cleaning up of processes that left our process group.

The texts given to ssh and sudo as arguments go through the user's login shell, whichever it
is. Therefore they are one line, without backslash and exclamation mark (fish and csh treat
those in their own way inside quotes).
"""

import re
import shlex

from hale.ssh.target import Target

# `cat` stands between us and the shell that executes. When our ssh ends, for whatever reason
# (timeout, Ctrl-C, kill -9, a crash), sshd closes its input; then `k` kills everything in this
# session. First our whole process group at once, by a signal that only `k` itself ignores: the
# executing shell must not see the running command die and go on to the next. Then, one by one,
# what has a group of its own (`timeout` makes one) or withstood. Only what made itself a session
# of its own (setsid, systemd-run) stays. Never touched: processes older than this shell, should
# an sshd give us no session of our own.
_KILL_SESSION = (
    'k() { trap "" TERM; kill -TERM 0; n=0; while [ $n -lt 9 ]; do n=$((n+1)) f=; '
    "for p in /proc/[0-9]*; do read -r l <$p/stat || continue; set -- ${l##*) }; "
    'if [ "$4" = "$s" ] && [ "$3" != "$g" ] && [ "$1" != Z ] && [ "${20}" -ge "$b" ]; '
    "then kill -9 ${p#/proc/} && f=1; fi; done; "
    '[ "$f" ] || break; done; kill -9 0; } 2>/dev/null'
)


def _session_shell(token: str) -> str:
    """The innermost shell: says that it is there, and for `$u`; then runs what comes to it."""
    return (
        # proc(5): after the command's name come state, ppid, pgrp, session; starttime is 20th.
        "read -r l </proc/self/stat; set -- ${l##*) }; g=$3 s=$4 b=${20}; "
        # This shell outlives the signal, so that the session ends when `k` is through.
        f"{_KILL_SESSION}; trap : TERM; "
        f"echo {token} >&2; echo {token} shell $u; "
        "{ cat; k; } | { /bin/sh; k; }"
    )


def login_command(target: Target, token: str) -> str:
    """The command for ssh to run. `token` marks its lines among banners; it is not a secret.

    On standard output come `TOKEN login USER` and `TOKEN shell USER`, on standard error TOKEN
    once the shell is ready, and before that `password_prompt(token)` whenever sudo asks.
    sudo is left out when the login user already is the one wanted.
    """
    who = "u=$(id -un || id -u); "
    script = f"{who}echo {token} login $u; "
    if target.become:
        shell = shlex.quote(who + _session_shell(token))
        # -H: HOME of the target user, as in a login. -S: password from standard input. sudo(8)
        ask = "-n" if target.become_password is None else f"-S -p {password_prompt(token)}"
        script += (
            f"s=; [ $u = {shlex.quote(target.become_user)} ] || "
            f's="sudo {ask} -H -u {shlex.quote(target.become_user)}"; exec $s /bin/sh -c {shell}'
        )
    else:
        script += _session_shell(token)
    return f"exec /bin/sh -c {shlex.quote(script)}"


def password_prompt(token: str) -> str:
    """What sudo prints on standard error when it wants a password."""
    return f"{token}-password:"


def prologue(target: Target) -> bytes:
    """Defines `w` to `z` in the executing shell; each runs and frames one command.

    6 and 7 are the channel's stdout and stderr. The command gets pipes of its own, each read
    by a `cat` that ends only when *every* holder of the pipe has closed it (as sshd does), so
    nothing late can leak into the next frame. The exit status travels by 9, which is `$( )`.
    The nonce arrives on standard input and is only ever an argument of shell functions and
    builtins: it is in no argv and no environment, so no command can print it.

    With sudo, commands run as testinfra's own `sudo /bin/sh -c` would run them, without in the
    login shell as plain ssh does; `$0` too is as sshd sets it.
    """
    if target.become:
        shell = b"S=/bin/sh\n"
    else:
        shell = b'S=${SHELL:-/bin/sh}\n[ "$(command -v "${S##*/}")" -ef "$S" ] && S=${S##*/}\n'
    return (
        b"exec 6>&1 7>&2 2>/dev/null\n"
        + shell
        + b"""x() {
r=$({ { { ("$S" -c "$2" </dev/null 2>&1 >&8 6>&- 7>&- 8>&- 9>&-); echo $? >&9; } | cat >&7
} 8>&1 | cat >&6; } 9>&1)
printf %s "$1" >&7; printf '%s%s\\n' "$1" "$r" >&6; }
w() { ("${3:-/bin/sh}" -c "$2" </dev/null >&6 2>&7 6>&- 7>&-)
r=$?; printf %s "$1" >&7; printf '%s%s\\n' "$1" "$r" >&6; }
y() { w "$@" "$S"; }
z() {
r=$({ { { (printf %s "$3" | "$S" -c "$2" 2>&1 >&8 6>&- 7>&- 8>&- 9>&-); echo $? >&9; } | cat >&7
} 8>&1 | cat >&6; } 9>&1)
printf %s "$1" >&7; printf '%s%s\\n' "$1" "$r" >&6; }
case ${S##*/} in
sh|dash|ash) ;;
*) [ "${S##*/}" = bash ] && [ -z "$SSH_CLIENT$SSH2_CLIENT$BASH_ENV" ] || y() { x "$@"; } ;;
esac
"""
    )


# `y` saves two cats and three forks (1.5 instead of 3.6 ms), and is right only for what cannot
# leave a process behind: one command of this list with literal arguments, in a shell that reads
# no start-up file (bash does under sshd, therefore the `case` above). `w` is the same by /bin/sh,
# for a command of which the caller knows that (Session.run, `plain`).
_NO_CHILDREN = re.compile(
    rb"(?:(?:/usr)?/bin/)?(?:test|cat|grep|stat|uname|hostname|readlink|id|systemctl is-active)"
    rb"(?: (?:[\w./:=,@%+^-]|'[^']*')+)*\Z"
)


def frame(command: bytes, nonce: bytes, stdin: bytes = b"", plain: bool = False) -> bytes:
    """The line for the executing shell that runs `command` and ends its output with `nonce`.

    stdout ends with the nonce, the exit status (empty if the command killed the shell that
    waited for it) and a newline; stderr ends with the nonce. What is given as `stdin` travels
    as the nonce does, and is written by the builtin printf: it is in no argv and on no disk.
    """
    if stdin:
        return b"z %s %s %s\n" % (nonce, _quote_bytes(command), _quote_bytes(stdin))
    verb = b"w" if plain else b"y" if _NO_CHILDREN.match(command) else b"x"
    return b"%s %s %s\n" % (verb, nonce, _quote_bytes(command))


def _quote_bytes(text: bytes) -> bytes:
    return b"'%s'" % text.replace(b"'", b"'\\''")
