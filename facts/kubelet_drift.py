"""The kubelets' settings and flags, compared within the masters and within the workers.

What counts is the meaning: each file is parsed, files of a drop-in folder are merged in their
order, and a flag takes the place of the key that it stands for (`--max-pods` of `maxPods`). Order,
comments and quotes do not matter. A key that one host sets to its default and another does not set
differs: the default may change with the version.

A host that is not a node is not compared.

Sources: kubernetes.io, "Set kubelet parameters via a configuration file" (merging, precedence of
flags), "Kubelet configuration (v1beta1)", kubelet(1).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from facts.parsers import host_yaml, kubelet_config
from facts.parsers.combined import read_each
from hale.inventory.ini import Host
from hale.model.evidence import (
    Allowance,
    ClusterView,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Case

NOT_SET = "not set"
MOST_SETTINGS = 5000
MOST_SHOWN = 60  # characters of a value


class KubeletDriftParameters(Struct, frozen=True):
    """Settings that may differ from host to host; of nested ones the path, `evictionHard`."""

    may_differ: tuple[str, ...]


class KubeletDriftPersisted(Struct, frozen=True):
    """The number of kubelets compared, and the differences in words, one a setting."""

    compared: int
    drift: tuple[str, ...]
    unread: tuple[str, ...] = ()
    sources: tuple[ConfigLine, ...] = ()

    @property
    def actual(self) -> str:
        parts = self.drift or (f"{self.compared} kubelets have the configuration of their group",)
        return "; ".join([*parts, *self.unread])


def probes(host: Host, cases: Sequence[Case[KubeletDriftParameters]]) -> tuple[Probe, ...]:
    """The kubelet's files and command line, which other subjects read too."""
    return (FileProbe(*kubelet_config.PATTERNS),)


def read_persisted(
    readings: ClusterView, case: Case[KubeletDriftParameters]
) -> KubeletDriftPersisted:
    """The differences within each group. A proven one counts though other hosts did not answer.

    Raises NotApplicable where no host is a node. Raises Unreadable where a host gave no answer and
    the others prove no difference.
    """
    answers, unread = read_each(readings, case.inventory.hosts, _settings)
    masters = {host.name for host in case.inventory.masters}
    nodes = {name: found for name, found in answers.items() if found is not None}
    groups = [
        {name: found for name, found in nodes.items() if (name in masters) is wanted}
        for wanted in (True, False)
    ]
    compared = len(nodes)
    if not compared and not unread:
        raise NotApplicable(f"no host is a node yet (no {kubelet_config.PATH})")
    drift = [text for each in groups for text in _drift(each, case.parameters.may_differ)]
    if unread and not drift:
        raise Unreadable("; ".join(unread))
    return KubeletDriftPersisted(compared, tuple(drift), tuple(unread))


def _settings(readings: HostView) -> dict[str, str] | None:
    """Each setting by its path; None where the host is not a node. Raises Unreadable."""
    if readings.file(kubelet_config.PATH) is None:
        return None
    merged: dict[str, Any] = {}
    for file in kubelet_config.files(readings):
        _merge(merged, _document(file))
    for flag, value in kubelet_config.options(readings).items():
        merged[_key(flag)] = value
    found: dict[str, str] = {}
    _flatten(merged, "", found, Allowance(MOST_SETTINGS, "settings"))
    return found


def _key(flag: str) -> str:
    """`maxPods` of `max-pods`."""
    return re.sub(r"-(\w)", lambda m: m[1].upper(), flag, flags=re.ASCII)


def _document(file: File) -> dict[str, Any]:
    try:
        found = host_yaml.load("\n".join(file.lines), file.path)
    except host_yaml.InvalidYaml as error:
        raise Unreadable(f"{file.path} is not valid YAML: {error}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"{file.path} has no settings of a kubelet")
    return found


def _merge(into: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            _merge(into[key], value)
        else:
            into[key] = value


def _flatten(value: Any, path: str, into: dict[str, str], allowance: Allowance) -> None:
    """Tables become paths; what is empty or null is not set. Raises Unreadable."""
    allowance.spend(where=kubelet_config.PATH)
    if path.count(".") > 20:
        raise Unreadable(f"{kubelet_config.PATH} is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, f"{path}.{key}" if path else str(key), into, allowance)
    elif isinstance(value, list):
        plain: dict[str, str] = {}
        for number, inner in enumerate(value):
            _flatten(inner, str(number), plain, allowance)
        if plain:
            into[path] = json.dumps([*plain.values()] if len(plain) == len(value) else plain)
    elif value is not None:
        into[path] = str(value).lower() if isinstance(value, bool) else str(value)


def _drift(each: Mapping[str, Mapping[str, str]], may_differ: Sequence[str]) -> list[str]:
    """`KEY is VALUE on HOST and HOST, and VALUE on HOST` for each setting that differs."""
    keys = sorted({key for settings in each.values() for key in settings})
    found = []
    for key in keys:
        if any(key == name or key.startswith(f"{name}.") for name in may_differ):
            continue
        by_value: dict[str, list[str]] = {}
        for host, settings in each.items():
            by_value.setdefault(settings.get(key, NOT_SET), []).append(host)
        if len(by_value) > 1:
            parts = (f"{_short(value)} on {' and '.join(on)}" for value, on in by_value.items())
            found.append(f"{key} is {', '.join(parts)}")
    return found


def _short(value: str) -> str:
    return value if len(value) <= MOST_SHOWN else f"{value[:MOST_SHOWN]}…"
