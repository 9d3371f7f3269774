"""A file of Hale's beside a site's own config.toml, which imports it: the site's stays as it is.

The imported file adds those of Hale's settings that the site's files do not set; what they set to
another value stays, and is reported. It is made only where the outcome is known:

- containerd 2 or later, which merges imported files setting by setting. containerd 1 replaces the
  CRI plugin's settings as a unit, so that those of the site would be lost;
- config.toml imports the file's folder, and has version 2, 3 or 4. The imported file has the same
  version: one of another is migrated apart from it, or refused;
- no `registry.mirrors` or `registry.configs`, where a `config_path` is needed: containerd starts
  its CRI plugin with one of them only.

Sources: containerd's pull requests 9982 (merge, since 2.0) and 12891 (versions), and its issue
5837 (containerd 1); containerd's docs/cri/registry.md.
"""

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from posixpath import dirname, join
from typing import Any, NamedTuple

from facts.cluster import containerd_config, file_digests
from facts.cluster.containerd_config import ContainerdConfig, Settings
from hale.install.phase import Observations, PhaseProblem
from hale.model.evidence import HostView, Unreadable
from remediate.cluster import scripts, templates

CONFIG = "/etc/containerd/config.toml"
DROP_IN = "/etc/containerd/conf.d/zz-hale.toml"
CERTS = "/etc/containerd/certs.d"
FIRST_MERGING = 2  # the major version of containerd that merges imports setting by setting
VERSIONS = (2, 3, 4)  # of configuration files


class DropIn(NamedTuple):
    """content: of the file; empty where the site's files have all that Hale needs. reads_certs:
    containerd reads, or will read, the hosts.toml files below CERTS. others: settings of the site
    that are not Hale's, in words."""

    content: str
    reads_certs: bool
    others: tuple[str, ...]


def find(observations: Observations, host: str, wanted: Settings) -> DropIn | None:
    """The file for a host whose config.toml is the site's; None where there can be none.

    wanted: Hale's settings; None for those that it does not need.
    """
    try:
        config = containerd_config.read(observations.of(host, containerd_config.SUBJECT))
        written = observations.of(host, file_digests.SUBJECT)
        version = _importing_version(_document(written, CONFIG))
        if config is None or version not in VERSIONS:
            return None
        drop_in = file_digests.read(written).get(DROP_IN)
        own = _document(written, DROP_IN) if drop_in and drop_in.by_hale else {}
    except Unreadable:
        return None
    added, others = _compare(config, containerd_config.settings(own), wanted)
    content = ""
    if any(value is not None for value in added):
        content = templates.render(
            "containerd-drop-in.toml.j2", version=version, settings=_lines(version, added)
        )
    path = config.effective.config_path if added.config_path is None else added.config_path
    return DropIn(content, path == CERTS and not config.mirrors, tuple(others))


def difference(drop_in: DropIn, host: str) -> PhaseProblem:
    """What the operator is to know about the site's config.toml."""
    detail = f"{CONFIG} is not as Hale wrote it: left as it is"
    if drop_in.content:
        detail += f"; it imports {DROP_IN}, which has Hale's settings"
    if drop_in.others:
        detail += "; set otherwise there:" + "".join(f"\n{s}" for s in drop_in.others)
    return PhaseProblem(detail, host)


def check() -> str:
    """A script that accepts the new file: containerd reads it, and nothing else would change."""
    return scripts.load("check_containerd_drop_in", config=CONFIG)


def _compare(
    config: ContainerdConfig, own: Settings, wanted: Settings
) -> tuple[Settings, list[str]]:
    """What to add, and what the site has set otherwise.

    own: what the file adds already. A setting with containerd's default counts as not set.
    """
    added: dict[str, Any] = {}
    others: list[str] = []
    for name, value, usual, ours, ideal in zip(
        Settings._fields, config.effective, config.default, own, wanted, strict=True
    ):
        if ideal is None:
            continue
        if name == "config_path" and config.mirrors:
            others.append("registry.mirrors or registry.configs, so no config_path")
        elif value not in (usual, ours, ideal):
            others.append(f"{name} = {value!r}, not {ideal!r}")
        elif value != ideal or ours is not None:
            added[name] = ideal
    return Settings(**added), others


def _lines(version: int, added: Settings) -> list[tuple[str, str]]:
    """The table and the setting of each, as a file of this version has them."""
    old = version == FIRST_MERGING
    images = f"'{containerd_config.CRI if old else containerd_config.IMAGES}'"
    runtime = f"'{containerd_config.CRI if old else containerd_config.RUNTIME}'"
    lines = []
    if added.sandbox is not None:
        table, name = (images, "sandbox_image") if old else (f"{images}.pinned_images", "sandbox")
        lines.append((table, f"{name} = '{added.sandbox}'"))
    if added.config_path is not None:
        lines.append((f"{images}.registry", f"config_path = '{added.config_path}'"))
    if added.systemd_cgroup is not None:
        table = f"{runtime}.containerd.runtimes.runc.options"
        lines.append((table, f"SystemdCgroup = {str(added.systemd_cgroup).lower()}"))
    return lines


def _importing_version(document: Mapping[str, Any]) -> int:
    """The version of a config.toml that imports the file; 0 for one that does not."""
    imports, version = document.get("imports"), document.get("version")
    if not isinstance(imports, list) or not isinstance(version, int):
        return 0
    # A pattern is relative to the folder of the file that has it, and its `*` matches no `/`.
    patterns = [join(dirname(CONFIG), pattern) for pattern in map(str, imports)]
    folder, _, name = DROP_IN.rpartition("/")
    return version if any(_matches(p, folder, name) for p in patterns) else 0


def _matches(pattern: str, folder: str, name: str) -> bool:
    where, _, names = pattern.rpartition("/")
    return where == folder and fnmatchcase(name, names)


def _document(written: HostView, path: str) -> Mapping[str, Any]:
    """A file's tables. Raises Unreadable."""
    found = written.file(path)
    if found is None:
        return {}
    try:
        return tomllib.loads("\n".join(found.lines))
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(f"{path}: {error}") from None
