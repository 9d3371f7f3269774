"""`invoke kubeconfig`: the cluster's admin.conf, for the operator alone."""

from pathlib import Path

from hale import atomic, connection, inventory, logins
from hale.apply import run
from hale.cluster import ADMIN
from hale.errors import HaleError
from hale.install import gate


def kubeconfig(path: Path, out: Path) -> None:
    """Fetch admin.conf from the first master that has one, to a file for the operator alone.

    Never printed. Raises HaleError where no master has one, or the file cannot be written.
    """
    known = inventory.load(path)
    logins.connect(known, gate.LOGIN)
    tried = []
    try:
        for host in known.masters:
            try:
                done = connection.session_for(host.name).run(f"cat {ADMIN}", 20)
            except run.ANSWERS_NOT as error:
                tried.append(str(error))
                continue
            if done.exit_status == 0 and done.stdout:
                try:
                    atomic.write(out, done.stdout, mode=0o600)
                except OSError as error:
                    raise HaleError(f"{out} cannot be written: {error.strerror}.") from None
                print(f"{out}: admin of {known.cluster.name}, from {host.name}; 0600.")
                print(
                    f"It reaches {known.endpoint.names[0]}:{known.endpoint.port}, a name that this "
                    f"machine has to know:\n    kubectl --kubeconfig {out} get nodes"
                )
                return
            tried.append(f"{host.name} has no {ADMIN} that this user may read")
    finally:
        connection.close_sessions()
    raise HaleError("no kubeconfig: " + "; ".join(tried) + ". `invoke install` makes it.")
