"""kubectl as the phases use it: as admin on a master, of that master's own apiserver; no phase."""

from hale.install.cluster_context import APISERVER_PORT
from hale.inventory.cluster_spec import ADMIN
from hale.inventory.ini import Host


def shell_command(master: Host) -> str:
    """The command, without what it is to do."""
    return f"kubectl --kubeconfig {ADMIN} --server https://{master.address}:{APISERVER_PORT}"


def retrying(*commands: str) -> str:
    """A script for what may be refused once while masters join: etcd may just choose a leader."""
    return "".join(
        f"n=0\nuntil {command}; do n=$((n + 1)); [ $n -lt 5 ] || exit 1; sleep 2; done\n"
        for command in commands
    )
