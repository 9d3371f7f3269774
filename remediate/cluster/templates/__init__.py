"""Configuration files from Jinja2 templates, and how to tell that a host has and runs them."""

import hashlib
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from facts.cluster import file_digests, services
from hale.install.phase import Observations

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,
)
# A process that began with its file is younger than the file but for the clock's grain.
GRAIN = 0.05


def render(template: str, **values: Any) -> str:
    """The file. Raises jinja2.UndefinedError for a value that was not given."""
    return _TEMPLATES.get_template(template).render(values)


def digest(content: str | bytes) -> str:
    """SHA-256 of a file with this content."""
    raw = content.encode() if isinstance(content, str) else content
    return hashlib.sha256(raw).hexdigest()


class ConfigState(Enum):
    """What is wrong with a configuration file or the unit that reads it; value: in words."""

    MISSING = "there is no {path}"
    DIFFERENT = "{path} is not as it should be"
    STOPPED = "{unit} does not run"
    OUTDATED = "{unit} runs by an older {path}"
    NOT_ENABLED = "{unit} does not start at boot"


class ConfigProblem(NamedTuple):
    """One file, or the unit that reads it, in a state that it should not be in."""

    state: ConfigState
    path: str
    unit: str = ""

    def __str__(self) -> str:
        return self.state.value.format(path=self.path, unit=self.unit)


def config_problems(
    wanted: Mapping[str, str], seen: Observations, host: str, units: Mapping[str, str]
) -> Iterator[ConfigProblem]:
    """Which of these files differ on the host, and which units do not run with their file.

    wanted: content by path. units: the systemd service that reads a file, by path.
    """
    there = file_digests.read(seen.of(host, file_digests.SUBJECT))
    for path, content in wanted.items():
        if path not in there:
            yield ConfigProblem(ConfigState.MISSING, path)
        elif there[path].sha256 != digest(content):
            yield ConfigProblem(ConfigState.DIFFERENT, path)
    running = services.read(seen.of(host, services.SUBJECT))
    for path, unit in units.items():
        service = running[unit]
        if not service.active:
            yield ConfigProblem(ConfigState.STOPPED, path, unit)
        elif path in there and service.since < there[path].changed - GRAIN:
            yield ConfigProblem(ConfigState.OUTDATED, path, unit)
        if not service.enabled:
            yield ConfigProblem(ConfigState.NOT_ENABLED, path, unit)
