"""`invoke kubeconfig`: fetch the cluster's admin.conf."""

from pathlib import Path

from hale.files import atomic
from hale.inventory import ini
from hale.inventory.cluster_spec import ADMIN
from hale.model.errors import UserError
from hale.ssh import RemoteError, SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of


def kubeconfig(path: Path, out: Path, login: LoginOptions | None = None) -> None:
    """Fetch admin.conf from the first control-plane node that has one, to a file of mode 0600.

    It is never printed. Raises UserError if no node has one, or the file cannot be written.
    """
    known = ini.load_inventory(path)
    tried = []
    with SessionPool(targets_of(known, login)) as sessions:
        for host in known.masters:
            try:
                done = sessions.session(host.name).run(f"cat {ADMIN}", 20)
            except RemoteError as error:
                tried.append(str(error))
                continue
            if done.exit_status == 0 and done.stdout:
                atomic.write(out, done.stdout, mode=0o600)
                print(f"{out}: admin of {known.cluster.name}, from {host.name}; 0600.")
                print(
                    f"It connects to {known.endpoint.names[0]}:{known.endpoint.port}; this machine "
                    f"must resolve that name:\n    kubectl --kubeconfig {out} get nodes"
                )
                return
            tried.append(f"{host.name} has no {ADMIN} that this user may read")
    raise UserError("no kubeconfig: " + "; ".join(tried) + ". `invoke install` makes it.")
