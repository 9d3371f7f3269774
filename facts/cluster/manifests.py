"""Which manifests Hale has applied to the cluster, by its notes there. Not a subject: the install's
phases observe it.

A note is an annotation of the ConfigMap NAME in kube-system: the manifest's SHA-256 once kubectl
has applied it, APPLYING before.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from facts.parsers.blanks import BLANKS
from facts.parsers.probe_prelude import PRELUDE
from hale.inventory.cluster_spec import ADMIN
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import script_with

SUBJECT = "manifests"
NAME = "hale-manifests"
APPLYING = "applying"


def probe(address: str) -> CommandProbe:
    """A request for the notes to the apiserver at this address."""
    script = PRELUDE + script_with(
        Path(__file__).with_suffix(".sh"), kubeconfig=ADMIN, address=address, name=NAME
    )
    return CommandProbe("applied", script, timeout=20, slow=True)


@parsed
def read(readings: HostView) -> Mapping[str, str]:
    """The notes by the manifest's key. Raises Unreadable."""
    *lines, end = readings.output("applied").lines or [""]
    text = "\n".join(lines).strip(BLANKS)
    if end != "end 0":
        raise Unreadable(f"kubectl: {text[:200]}" if text else "the answer is truncated")
    try:
        return msgspec.json.decode(text, type=dict[str, str]) if text else {}
    except msgspec.DecodeError:
        raise Unreadable(f"the answer is garbled: {text[:80]!r}") from None
