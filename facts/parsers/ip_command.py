"""The addresses that commands of shell set: ip(8), in any of its abbreviations, and ifconfig(8).

Sources: ip-address(8); iproute2's ip/ip.c (the first object that begins with the word counts) and
ip/ipaddress.c (do_ipaddr, ipaddr_modify); ifconfig(8).
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from facts.parsers.blanks import split_words

# Options of ip(8) before its object that have a value; a beginning of them will do, but for `-r`.
_WITH_VALUE = ("-family", "-loops", "-rcvbuf", "-batch")
# Words of `ip address add` that a value follows; `local` has the address itself.
_KEYS = (
    *("dev", "peer", "remote", "broadcast", "brd", "anycast", "scope", "label", "metric", "proto"),
    *("priority", "preference", "valid_lft", "preferred_lft"),
)
_IFCONFIG_KEYS = (
    *("netmask", "broadcast", "pointopoint", "dstaddr", "mtu", "metric", "hw", "ether", "del"),
    *("outfill", "keepalive", "media", "txqueuelen", "tunnel"),
)
_LONGEST = 1024  # characters of an address or a name of a card, with its variables
# Keys of those whose value has two words.
_TWO_WORDS = ("hw",)

_TEXT = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_LIST = re.compile(r"[\[(][ \t]*(?:\"[^\"]*\"|'[^']*')(?:[ \t]*,[ \t]*(?:\"[^\"]*\"|'[^']*'))+")


def simple_commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a line of shell, quotes removed; nested `sh -c` included."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    try:
        for word in lexer:
            if word and not word.strip("();<>|&"):
                yield words
                words = []
            else:
                words.append(word)
    except ValueError:  # a quote that a later line closes
        words = [word.strip("\"'`;(){}") for word in split_words(text)]
    yield words


def commands(text: str) -> Iterator[list[str]]:
    """As `simple_commands`, with the words of quoted scripts as commands of their own, and those of
    lists of texts, as Python and others have them: `["ip", "address", "add"]`."""
    for words in simple_commands(text):
        yield words
        for word in words:
            if any(blank in word for blank in " \t\n"):
                yield from simple_commands(word)
    for found in _LIST.finditer(text):
        yield [double or single for double, single in _TEXT.findall(found[0])]


# Commands whose words are text, files or names of programs: they run none of them.
_MENTIONS = (
    *("echo", "printf", "logger", "grep", "egrep", "fgrep", "zgrep", "sed", "awk", "gawk", "mawk"),
    *("which", "type", "hash", "[", "[[", "test", "man", "pgrep", "pidof", "pkill", "killall"),
    *("dpkg", "rpm", "apt", "apt-get", "yum", "dnf", "chmod", "chown", "ls", "stat", "readlink"),
    *("rm", "cp", "mv", "ln", "install", "setcap", "cat", "alias", "unalias", "case", "return"),
)


def program_at(words: Sequence[str], program: str) -> int:
    """Where in a command's words the program is, whatever runs it: `flock F swapon`.

    -1 where it is not there, or is only text: `echo swapon`, `command -v swapon`.
    """
    for at, word in enumerate(words):
        if "=" in word.partition("/")[0]:
            continue  # a variable, or an option's value
        name = word.lstrip("`$({-@+!").rpartition("/")[2]
        if name == program:
            return -1 if words[at - 1 : at] in (["-v"], ["-V"]) else at
        if name in _MENTIONS:
            return -1
    return -1


def added_addresses(text: str, values: Mapping[str, str] | None = None) -> Iterator[str]:
    """The addresses that a line of shell sets, as it has them (`10.0.0.1/24`, `$VIP`).

    values: those of variables, which are put in. Addresses of other network namespaces are left
    out.
    """
    for words in commands(text):
        for at, word in enumerate(words):
            name = word.lstrip("`$({-@+!").rpartition("/")[2]
            rest = words[at + 1 :]
            if name == "ip":
                yield from (_expanded(found, values or {}) for found in _of_ip(rest))
                break
            if name == "ifconfig":
                yield from (_expanded(found, values or {}) for found in _of_ifconfig(rest))
                break


def removals(text: str, values: Mapping[str, str] | None = None) -> Iterator[str]:
    """The addresses and interfaces that a line of shell takes down, as it has them.

    `ip address del`, `ip address flush`, `ip link set DEV down`, ifdown(8) and `ifconfig DEV down`;
    `-a` stands for all interfaces.
    """
    for words in commands(text):
        for program, taken in (("ip", _removed), ("ifdown", _ifdown), ("ifconfig", _down)):
            at = program_at(words, program)
            if at >= 0:
                yield from (_expanded(one, values or {}) for one in taken(words[at + 1 :]))


def _removed(words: list[str]) -> Iterator[str]:
    words = [word for word in words if not word.startswith("-")]
    if len(words) < 3:
        return
    of, action, rest = words[0], words[1], words[2:]
    cards = [after for word, after in zip(rest, [*rest[1:], ""], strict=True) if word == "dev"]
    if _begins("address", of) and _begins("delete", action):
        yield from _values(rest, _KEYS)
    elif (_begins("address", of) and _begins("flush", action)) or (
        _begins("link", of) and _begins("set", action) and "down" in rest
    ):
        yield from cards or [rest[0]]


def _ifdown(words: list[str]) -> Iterator[str]:
    for word in words:
        if not word.startswith("-"):
            yield word
        elif word in ("-a", "--all"):
            yield "-a"


def _down(words: list[str]) -> Iterator[str]:
    if words[1:] and words[1] in ("down", "0.0.0.0", "0"):
        yield words[0]


def _expanded(word: str, values: Mapping[str, str]) -> str:
    """The word itself where its variables make it longer than any address is."""
    found = word
    for name, value in values.items():
        for use in (f"${{{name}}}", f"${name}"):
            if len(found) + found.count(use) * len(value) > _LONGEST:
                return word
            found = found.replace(use, value)
    return found


def _of_ip(words: list[str]) -> Iterator[str]:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        option = words[at].replace("--", "-")
        if len(option) > 1 and "-netns".startswith(option):
            return  # another namespace
        valued = option != "-r" and any(full.startswith(option) for full in _WITH_VALUE)
        at += 2 if valued else 1
    if len(words) < at + 3 or not _begins("address", words[at]):
        return
    action = words[at + 1]
    if not any(_begins(full, action) for full in ("add", "change", "chg", "replace")):
        return
    yield from _values(words[at + 2 :], _KEYS)


def _of_ifconfig(words: list[str]) -> Iterator[str]:
    yield from _values(
        [w for w in words[1:] if w not in ("inet", "inet6", "up", "add")], _IFCONFIG_KEYS
    )


def _values(words: list[str], keys: tuple[str, ...]) -> Iterator[str]:
    """Words that are addresses or variables, but for the values of other keys."""
    skip = 0
    for word in words:
        if skip:
            skip -= 1
        elif word in keys:
            skip = 2 if word in _TWO_WORDS else 1
        elif word.startswith("$") or any(c in word for c in ".:"):
            yield word


def _begins(full: str, word: str) -> bool:
    return bool(word) and full.startswith(word)
