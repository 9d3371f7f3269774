"""What facts/limits_session.sh prints of a login: its limits, and those that its shell ends with.

Not a subject: facts/limits.py and facts/service_limits.py use it. Sources: proc_pid_limits(5);
bash(1), `ulimit`; nsswitch.conf(5).
"""

import re
from collections.abc import Iterator, Sequence
from math import inf
from typing import NoReturn

from facts.parsers.blanks import BLANKS, is_decimal, split_words
from hale.model.evidence import ConfigLine, NotApplicable, Unreadable

# The inventory's variable for the ordinary user whose login is tried.
VARIABLE = "limits_user"
# Databases of nsswitch.conf(5) with files of the host. `sss` is one of them where sssd has no
# configuration: Red Hat's default names it on every host.
LOCAL_USERS = ("files", "systemd", "altfiles")
SHOWN = {"nofile": "Max open files", "nproc": "Max processes", "memlock": "Max locked memory"}


def login_shell_limits(lines: Sequence[str], item: str) -> tuple[float, float] | None:
    """The limits in the login shell, None in evidence of releases that did not try one.

    Raises Unreadable where the shell ran no command.
    """
    shell = next((line[6:] for line in lines if line.startswith("shell ")), "")
    if not shell:
        return None
    after = lines[lines.index("login") + 1 :] if "login" in lines else ()
    shown = next((line for line in after if line.startswith(SHOWN[item])), "")
    found = re.match(r"\s+(\w+)\s+(\w+)", shown[len(SHOWN[item]) :], re.ASCII)
    if not found:
        raise Unreadable(
            f"the login shell {shell} ran no command within 4 s: a start-up file ends it, replaces "
            "it or waits for a person (/etc/profile, ~/.profile, ~/.bashrc and their like)"
        )
    return kernel_limit(item, found[1]), kernel_limit(item, found[2])


def lowering_lines(lines: Sequence[str]) -> Iterator[ConfigLine]:
    """Lines of start-up files with `ulimit`."""
    for line in lines:
        if found := re.fullmatch(r"ulimit (/[^:]*):([0-9]{1,9}):(.*)", line):
            yield ConfigLine(found[1], int(found[2]), found[3].strip(BLANKS))


def lowered_by(
    lines: Sequence[str], item: str, given: tuple[float, float], sources: Sequence[ConfigLine]
) -> str:
    """How the login shell lowered the limits that PAM gave, in words."""
    shell = next(line[6:] for line in lines if line.startswith("shell "))
    where = ", ".join(f"{s} ({s.text})" for s in sources) or "in its start-up files"
    return f"PAM gives {described(item, *given)}, and the login shell {shell} lowers it: {where}"


def refuse_missing_user(lines: Sequence[str]) -> None:
    """Nothing where the host knows the user that the inventory names.

    Raises Unreadable where it does not, or NotApplicable where it has no ordinary user at all.
    """
    words = split_words(lines[0]) if lines else []
    if words[:1] != ["missing"] or len(words) < 2:
        return
    name = (
        f"the user {words[1]}, whom the inventory names ({VARIABLE}), does not exist on this host"
    )
    if len(words) > 2:
        raise Unreadable(
            f"{name}: set {VARIABLE} for this host to one of its users, such as {words[2]}"
        )
    refuse_without_user(lines[1:], f"{name}, and ")


def refuse_without_user(lines: Sequence[str], why: str = "") -> NoReturn:
    """Raises NotApplicable where /etc/passwd has all users, Unreadable where it may not.

    why: what comes before the reason.
    """
    databases = [
        word for line in lines if line.startswith("passwd ") for word in split_words(line)[1:]
    ]
    by_sssd = [split_words(line, 1)[1] for line in lines if line.startswith("sssd ")]
    others = [word for word in databases if word[0] != "[" and word not in (*LOCAL_USERS, "sss")]
    if "sss" in databases and by_sssd:
        others.append(f"sss ({by_sssd[0]})")
    if others:
        raise Unreadable(
            f"{why}no ordinary user of /etc/passwd has a login shell, and /etc/nsswitch.conf has "
            f"users from {', '.join(others)} too: name one in the inventory, {VARIABLE}"
        )
    raise NotApplicable(f"{why}no ordinary user has a login shell (/etc/passwd)")


def kernel_limit(item: str, text: str) -> float:
    """A limit from /proc/PID/limits, in the unit of limits.conf."""
    if text == "unlimited":
        return inf
    if not is_decimal(text):
        raise Unreadable(f"{item}: {text!r} is not a number")
    return int(text) // 1024 if item == "memlock" else int(text)


def described(item: str, soft: float | None, hard: float | None) -> str:
    """The limits in words, None as unset."""

    def one(value: float | None) -> str:
        if value is None:
            return "unset"
        if value == inf:
            return "unlimited"
        return f"{value:.0f} KiB" if item == "memlock" else f"{value:.0f}"

    return f"{item} soft {one(soft)}, hard {one(hard)}"
