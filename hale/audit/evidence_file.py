"""evidence.json: all evidence of a run, which `pytest --evidence` judges again."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from hale.files import atomic, versioned
from hale.model.errors import Location, UserError
from hale.model.evidence import Evidence
from hale.standard.subjects import RENAMED

SCHEMA = "hale.evidence/1"


class EvidenceFile(msgspec.Struct):
    """The content of evidence.json.

    It has the inventory's path and SHA-256, not its text, which may contain secrets.
    hosts, uris: by host name.
    """

    schema: str
    inventory: str
    inventory_sha256: str
    profile: str
    hosts: dict[str, Evidence]
    uris: dict[str, str] = {}  # of hosts selected by a testinfra URI


def save_evidence(
    saved: EvidenceFile, path: Path, write: Callable[..., None] = atomic.write
) -> None:
    """Write the file with mode 0600: it contains the hosts' configuration."""
    write(path, msgspec.json.encode(saved, order="sorted") + b"\n", mode=0o600)


def load_evidence(path: Path) -> EvidenceFile:
    """Read the file. Raises UserError if it is no evidence or of another version."""
    saved = versioned.load(path, EvidenceFile, SCHEMA, "evidence")
    patterns: dict[frozenset[str], frozenset[str]] = {}
    for name, evidence in saved.hosts.items():
        if evidence.host != name:
            raise UserError(f"{name} has the answers of {evidence.host}.", Location(path))
        shared = patterns.setdefault(evidence.patterns, evidence.patterns)
        saved.hosts[name] = _under_current_names(evidence, shared)
    return saved


def _under_current_names(evidence: Evidence, patterns: frozenset[str]) -> Evidence:
    """patterns: the same as its own, one object for all hosts that have the same."""
    outputs = {_current_name(key): output for key, output in evidence.outputs.items()}
    return msgspec.structs.replace(evidence, outputs=outputs, patterns=patterns)


def _current_name(key: str) -> str:
    """`subject.command` with the subject's name of today."""
    subject, dot, command = key.partition(".")
    return f"{RENAMED.get(subject, subject)}{dot}{command}"
