"""The beginning of scripts that use kubectl on a cluster, and on Karmada's own apiserver."""

from pathlib import Path

from hale.model.components import FEDERATION
from hale.shell import load_script, script_with

_CLUSTER = Path(__file__).with_suffix(".sh")
_KARMADA = Path(__file__).with_name("karmada_client.sh")


def cluster_script(memory: str = "/run", **given: str) -> str:
    """Shell that defines `cluster`, kubectl of the host's cluster, and the given variables.

    memory: a folder of the host that is no disk.
    """
    return script_with(_CLUSTER, namespace=FEDERATION.namespace, memory=memory, **given)


def karmada_script(memory: str = "/run", **given: str) -> str:
    """The same, and `karmada`, kubectl of Karmada's own apiserver as its administrator."""
    return cluster_script(memory, **given) + load_script(_KARMADA)
