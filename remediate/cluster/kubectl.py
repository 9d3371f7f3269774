"""kubectl as the phases use it: as admin, against the node's own apiserver."""

from hale.install.cluster_context import APISERVER_PORT
from hale.inventory.cluster_spec import ADMIN
from hale.inventory.ini import Host


def shell_command(master: Host) -> str:
    """The command without its subcommand."""
    return f"kubectl --kubeconfig {ADMIN} --server https://{master.address}:{APISERVER_PORT}"
