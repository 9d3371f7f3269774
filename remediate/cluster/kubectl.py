"""kubectl as the phases use it: as admin on a master, of that master's own apiserver; no phase."""

from hale.cluster import ADMIN
from hale.install.site import APISERVER_PORT
from hale.inventory import Host


def of(master: Host) -> str:
    """The command, without what it is to do."""
    return f"kubectl --kubeconfig {ADMIN} --server https://{master.address}:{APISERVER_PORT}"


def tried_again(*commands: str) -> str:
    """A script for what may be refused once while masters join: etcd may just choose a leader."""
    return "".join(
        f"n=0\nuntil {command}; do n=$((n + 1)); [ $n -lt 5 ] || exit 1; sleep 2; done\n"
        for command in commands
    )
