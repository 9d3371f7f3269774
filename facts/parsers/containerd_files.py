"""containerd's configuration as its files have it at its next start. Not a subject.

Its unit may name another file; the file may import others, of which later ones win.

Source: containerd-config.toml(5) (version, imports, root); containerd(8).
"""

import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from facts.parsers import unit_settings
from hale.model.evidence import ConfigLine, HostView, Unreadable

CONFIG = "/etc/containerd/config.toml"
IMPORTS = ("/etc/containerd/conf.d/*.toml", "/etc/containerd/config.d/*.toml")
UNIT = "containerd.service"
PATTERNS = (CONFIG, *IMPORTS, *unit_settings.patterns(UNIT))
_FLAGS = {"config": ("-c", "--config", "-config"), "root": ("--root", "-root")}


def configuration(readings: HostView) -> dict[str, Any] | None:
    """All tables, imports merged; None where there is no file. Raises Unreadable."""
    if found := flag(readings, "config"):
        named, source = found
        if named != CONFIG:
            raise Unreadable(f"{source} has containerd read {named} instead of {CONFIG}")
    file = readings.file(CONFIG)
    if file is None:
        return None
    config = _parsed(CONFIG, file.lines)
    patterns = config.get("imports")
    for pattern in patterns if isinstance(patterns, list) else ():
        if not isinstance(pattern, str):
            raise Unreadable(f"{CONFIG} imports what is not a path: {pattern!r}")
        for imported in readings.files(*IMPORTS):
            if fnmatchcase(imported.path, pattern) or imported.path == pattern:
                _merge(config, _parsed(imported.path, imported.lines))
        if pattern not in (CONFIG, *IMPORTS) and not pattern.startswith("/etc/containerd/con"):
            raise Unreadable(f"{CONFIG} imports {pattern}, which Hale does not read")
    return config


def flag(readings: HostView, name: str) -> tuple[str, ConfigLine] | None:
    """The value of `--config` or `--root` in the unit's command, and its line; None without it."""
    found: tuple[str, ConfigLine] | None = None
    for command in unit_settings.commands(unit_settings.files(readings, UNIT)):
        words = command.words
        for at, word in enumerate(words):
            option, equals, value = word.partition("=")
            if option in _FLAGS[name]:
                found = value if equals else "".join(words[at + 1 : at + 2]), command.source
    return found


def _parsed(path: str, lines: Sequence[str]) -> dict[str, Any]:
    try:
        return tomllib.loads("\n".join(lines))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unreadable(f"{path} is not valid TOML: {error}") from None


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value
