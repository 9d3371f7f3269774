"""containerd's settings as it would run with them: its file and all that it imports. Not a subject.

Source: containerd(8), `config dump` and `config default`; containerd-config.toml(5); containerd's
docs/cri/config.md.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import script_with

SUBJECT = "containerd"
IMAGES, RUNTIME = "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"
CRI = "io.containerd.grpc.v1.cri"  # both, in a file of version 2


class Settings(NamedTuple):
    """What Hale may have to add; None where it is not set.

    sandbox: the pause image. systemd_cgroup: of runc. config_path: of hosts.toml files.
    """

    sandbox: str | None = None
    systemd_cgroup: bool | None = None
    config_path: str | None = None


class ContainerdConfig(NamedTuple):
    """effective: with all imports. mirrors: whether `registry.mirrors` or `registry.configs` are
    there, with which containerd refuses a `config_path`."""

    effective: Settings
    default: Settings
    mirrors: bool


def probe(config: str) -> CommandProbe:
    """The probe for the configuration that this file is the root of."""
    script = script_with(Path(__file__).with_suffix(".sh"), config=config)
    return CommandProbe("settings", script, timeout=20)


@parsed
def read(readings: HostView) -> ContainerdConfig | None:
    """The settings; None before containerd 2, or where its file is invalid. Raises Unreadable."""
    lines = readings.output("settings").lines
    if not lines:
        return None
    effective, default = (_tables(lines, which) for which in ("effective", "default"))
    found, usual = settings(effective), settings(default)
    if None in (*found, *usual):
        raise Unreadable("`containerd config dump` does not have the CRI plugin's settings")
    registry = _table(effective, "plugins", IMAGES, "registry")
    return ContainerdConfig(found, usual, bool(registry.keys() & {"mirrors", "configs"}))


def settings(document: Mapping[str, Any]) -> Settings:
    """Those of a file, of version 2 or a later one."""
    plugins = _table(document, "plugins")
    both = _table(plugins, CRI)
    images = _table(plugins, IMAGES) or both
    runtime = _table(plugins, RUNTIME) or both
    return Settings(
        _table(images, "pinned_images").get("sandbox", both.get("sandbox_image")),
        _table(runtime, "containerd", "runtimes", "runc", "options").get("SystemdCgroup"),
        _table(images, "registry").get("config_path"),
    )


def _tables(lines: list[str], which: str) -> dict[str, Any]:
    text = "\n".join(s.removeprefix(f"{which} ") for s in lines if s.startswith(f"{which} "))
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"the answer is garbled: {error}") from None


def _table(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The table below the document; an empty one where there is none."""
    found = document
    for key in path:
        inner = found.get(key)
        found = inner if isinstance(inner, dict) else {}
    return found
