"""Configuration files from Jinja2 templates, and whether a host has them and runs with them."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from facts.cluster import file_digests, services
from hale.install.phase import NO_FILE, Observations, PhaseProblem
from hale.model.evidence import FileProbe, Unreadable

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
# Seconds: the resolution of a file's time. A service that started right after its file was written
# may appear to be older than the file by this much.
GRAIN = 0.05


def render(template: str, **values: Any) -> str:
    """The content of the file. Raises jinja2.UndefinedError for a missing value."""
    return _TEMPLATES.get_template(template).render(values)


def digest(content: str | bytes) -> str:
    """SHA-256 of a file with this content."""
    raw = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(raw).hexdigest()


class ConfigState(Enum):
    """What is wrong with a configuration file or the unit that reads it; value: the message."""

    MISSING = "there is no {path}"
    DIFFERENT = "{path} is not as it should be"
    STOPPED = "{unit} does not run"
    OUTDATED = "{unit} runs by an older {path}"
    NOT_ENABLED = "{unit} does not start at boot"


class ConfigProblem(NamedTuple):
    """A problem of one configuration file or of the unit that reads it."""

    state: ConfigState
    path: str
    unit: str = ""

    def __str__(self) -> str:
        return self.state.value.format(path=self.path, unit=self.unit)


def config_problems(
    wanted: Mapping[str, str], observations: Observations, host: str, units: Mapping[str, str]
) -> Iterator[ConfigProblem]:
    """Which of these files differ on the host, and which units do not run with their file.

    wanted: content by path. units: the systemd service that reads a file, by path. On a host that
    has joined, with a file that is not Hale's, all of them stay as they are.
    """
    if foreign_files(wanted, observations, host):
        return
    there = file_digests.read(observations.of(host, file_digests.SUBJECT))
    for path, content in wanted.items():
        if path not in there:
            yield ConfigProblem(ConfigState.MISSING, path)
        elif there[path].sha256 != digest(content):
            yield ConfigProblem(ConfigState.DIFFERENT, path)
    running = services.read(observations.of(host, services.SUBJECT))
    for path, unit in units.items():
        service = running[unit]
        if not service.active:
            yield ConfigProblem(ConfigState.STOPPED, path, unit)
        elif path in there and service.since < there[path].changed - GRAIN:
            yield ConfigProblem(ConfigState.OUTDATED, path, unit)
        if not service.enabled:
            yield ConfigProblem(ConfigState.NOT_ENABLED, path, unit)


def contents(wanted: Iterable[str]) -> tuple[FileProbe, ...]:
    """Probes for the text of these files, from which `differences` finds what is missing."""
    return tuple(FileProbe(path) for path in wanted)


def foreign_files(
    wanted: Mapping[str, str], observations: Observations, host: str
) -> tuple[str, ...]:
    """Of these files those that a host which has joined keeps: they differ, and are not Hale's, or
    were edited since. Before a host joins, there are none."""
    readings = observations.of(host, file_digests.SUBJECT)
    there = file_digests.read(readings)
    if not file_digests.joined(readings):
        return ()
    return tuple(
        path
        for path, content in wanted.items()
        if path in there and not there[path].by_hale and there[path].sha256 != digest(content)
    )


def replaces(observations: Observations, host: str, path: str) -> str | None:
    """What a write on a host that has joined may replace (WriteFile.replaces)."""
    readings = observations.of(host, file_digests.SUBJECT)
    if not file_digests.joined(readings):
        return None
    there = file_digests.read(readings).get(path)
    return there.sha256 if there else NO_FILE


def differences(
    wanted: Mapping[str, str], observations: Observations, host: str
) -> Iterator[PhaseProblem]:
    """The files that are left alone, each with those lines of Hale's that it does not have."""
    readings = observations.of(host, file_digests.SUBJECT)
    for path in foreign_files(wanted, observations, host):
        present: set[str] = set()
        with suppress(Unreadable):
            if found := readings.file(path):
                present = {line.strip() for line in found.lines}
        lines = [line.rstrip() for line in wanted[path].splitlines()]
        missing = [
            s for s in lines if s.strip() and s.lstrip()[0] != "#" and s.strip() not in present
        ]
        detail = f"{path} is not as Hale wrote it: left as it is"
        if present and missing:
            detail += "; of Hale's lines it does not have:" + "".join(f"\n{s}" for s in missing)
        yield PhaseProblem(detail, host)
