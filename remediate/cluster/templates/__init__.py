"""Configuration files from Jinja2 templates, and how to tell that a host has and runs them."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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


def stale(
    wanted: Mapping[str, str], seen: Observations, host: str, units: Mapping[str, str]
) -> Iterator[str]:
    """What of these files is not on the host, and which unit does not run by its file.

    units: the service that reads a file, by path.
    """
    there = file_digests.read(seen.of(host, file_digests.SUBJECT))
    for path, content in wanted.items():
        if path not in there:
            yield f"there is no {path}"
        elif there[path].sha256 != digest(content):
            yield f"{path} is not as it should be"
    running = services.read(seen.of(host, services.SUBJECT))
    for path, unit in units.items():
        service = running[unit]
        if not service.active:
            yield f"{unit} does not run"
        elif path in there and service.since < there[path].changed - GRAIN:
            yield f"{unit} runs by an older {path}"
        if not service.enabled:
            yield f"{unit} does not start at boot"
