"""The names of network cards at the next boot, which udev may change. Not a subject.

Sources: systemd.link(5) (the first file by name whose [Match] holds; NamePolicy= comes before
Name=); systemd-udevd's 80-net-setup-link.rules; udev(7), NAME and its match keys.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec import Struct

from facts.parsers import conf_dirs
from facts.parsers.blanks import BLANKS, SYSTEMD_BLANKS, split_words
from facts.parsers.unit_limits import logical
from hale.model.evidence import ConfigLine, File, HostView

MACS = "/sys/class/net/*/address"
LINKS = (
    "/etc/systemd/network/*.link",
    "/run/systemd/network/*.link",
    "/usr/local/lib/systemd/network/*.link",
    "/usr/lib/systemd/network/*.link",
    "/lib/systemd/network/*.link",
)
# Only a site's own rules; those of packages name no card for good.
RULES = "/etc/udev/rules.d/*.rules"
# Names of cards, which no configuration makes, unlike those of bonds and bridges.
_CARD = re.compile(r"eth[0-9]+|en[opsx][0-9a-z]+", re.ASCII)
FILES = (MACS, *LINKS, RULES)
_MAC_KEYS = ("MACAddress", "PermanentMACAddress")
_PAIR = re.compile(r"""([A-Z]+(?:\{[^}]*\})?)\s*(==|!=|=|:=|\+=)\s*"([^"]*)\"""", re.ASCII)


class CardNames(Struct, frozen=True):
    """macs: the hardware address by the name at the next boot. renamed: the line that gives a card
    of today's name another one. doubts: lines that may do so, by today's name."""

    macs: Mapping[str, str]
    renamed: Mapping[str, ConfigLine]
    doubts: Mapping[str, ConfigLine]


class _Link(Struct, frozen=True):
    source: ConfigLine
    name: str
    policy: bool
    conditions: tuple[tuple[str, tuple[str, ...]], ...]


def is_card(name: str) -> bool:
    """Whether the name is one that a kernel or udev gives to a card."""
    return bool(_CARD.fullmatch(name))


def at_boot(readings: HostView) -> CardNames:
    """The cards' names at the next boot. Raises Unreadable."""
    links = [_link(file) for file in conf_dirs.effective(readings.files(*LINKS))]
    rules = [rule for file in readings.files(RULES) if file.kind == "f" for rule in _rules(file)]
    macs: dict[str, str] = {}
    renamed: dict[str, ConfigLine] = {}
    doubts: dict[str, ConfigLine] = {}
    found = {
        file.path.split("/")[4]: file.lines[0].strip(BLANKS).lower() if file.lines else ""
        for file in readings.files(MACS)
    }
    for name, mac in found.items():
        if not is_card(name) and list(found.values()).count(mac) > 1:
            macs[name] = mac  # a bridge or bond has its card's address only after it was named
            continue
        line, new, sure = _named(name, mac, links, rules)
        if line and new != name and not sure:
            doubts[name] = line
        elif line and new != name:
            renamed[name] = line
        macs[new if line and sure else name] = mac
    return CardNames(macs, renamed, doubts)


def _named(
    name: str, mac: str, links: Sequence[_Link], rules: Sequence[_Link]
) -> tuple[ConfigLine | None, str, bool]:
    """The line that names the card, the name, and whether that is certain.

    A rule of udev that names the card comes before .link files, which 80-net-setup-link.rules
    applies only where NAME is empty.
    """
    if name == "lo" or not mac.strip("0:"):
        return None, name, True
    certain = True
    for rule in (*rules, *links):
        holds = [_holds(key, words, name, mac) for key, words in rule.conditions]
        if False in holds:
            continue
        if rule.name:
            return rule.source, rule.name, certain and None not in holds and not rule.policy
        if None not in holds:
            return None, name, True  # the names of NamePolicy= are those of now
        certain = False
    return None, name, True


def _holds(key: str, words: Sequence[str], name: str, mac: str) -> bool | None:
    """Whether a condition holds for the card; None where files do not say."""
    if key in _MAC_KEYS:
        return mac in {w.lower().replace("-", ":").replace(".", ":") for w in words}
    if key == "OriginalName":
        no = words[0].startswith("!")
        globs = [w.lstrip("!") for w in words]
        if "*" in globs:
            return not no
        # The kernel's own name; that of a card which was renamed since is unknown.
        if re.fullmatch(r"eth[0-9]+", name) or any(fnmatchcase(name, g) for g in globs):
            return any(fnmatchcase(name, g) for g in globs) is not no
    return None


@lru_cache(maxsize=4096)
def _link(file: File) -> _Link:
    section, name, policy = "", "", False
    source = ConfigLine(file.path, 0, "", changed=file.changed)
    conditions: dict[str, tuple[str, ...]] = {}
    for number, text, _ in logical(file):
        key, equals, value = (part.strip(SYSTEMD_BLANKS) for part in text.partition("="))
        if text[0] == "[" and text[-1] == "]":
            section = text[1:-1]
        elif equals and section == "Match":
            conditions[key] = (*conditions.get(key, ()), *split_words(value)) if value else ()
        elif equals and section == "Link" and key == "Name":
            name, source = value, ConfigLine(file.path, number, text, changed=file.changed)
        elif equals and section == "Link" and key == "NamePolicy":
            policy = bool(split_words(value))
    return _Link(source, name, policy, tuple((k, v) for k, v in conditions.items() if v))


@lru_cache(maxsize=4096)
def _rules(file: File) -> tuple[_Link, ...]:
    """The rules that name network cards."""
    found = []
    text, first = "", 0
    for number, line in enumerate(file.lines, 1):
        first = first or number
        if line.endswith("\\"):
            text += line[:-1]
            continue
        text, joined, start, first = "", text + line, first, 0
        if joined.lstrip(BLANKS).startswith("#"):
            continue
        pairs = _PAIR.findall(joined)
        names = [value for key, sign, value in pairs if key == "NAME" and sign in ("=", ":=")]
        tests = [(key, sign, value) for key, sign, value in pairs if sign in ("==", "!=")]
        if names and ("SUBSYSTEM", "==", "net") in tests:
            source = ConfigLine(file.path, start, joined.strip(BLANKS), changed=file.changed)
            made = "$" in names[-1] or "%" in names[-1]  # of properties that are not read
            found.append(_Link(source, names[-1], made, _keys(tests)))
    return tuple(found)


def _keys(tests: Sequence[tuple[str, str, str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """udev's tests as conditions of a .link file; others are kept, and decide nothing."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for key, sign, value in tests:
        if (key, value) in (("SUBSYSTEM", "net"), ("ACTION", "add"), ("ATTR{type}", "1")):
            continue
        if (key, sign) == ("ATTR{address}", "==") and not any(c in value for c in "*?["):
            found.append(("MACAddress", tuple(value.split("|"))))
        elif (key, sign) == ("KERNEL", "=="):
            found.append(("OriginalName", tuple(value.split("|"))))
        elif (key, sign, value) not in (("DRIVERS", "==", "?*"), ("ATTR{dev_id}", "==", "0x0")):
            found.append((key, (value,)))
    return tuple(found)
