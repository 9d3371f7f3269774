"""The two clusters of a join or a leave, and sessions to all of their hosts."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hale.apply import karmada
from hale.install.locked_run import check_reachable
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.errors import UserError
from hale.plan import approval
from hale.redact import redact
from hale.shell import load_script
from hale.ssh import RemoteError, SessionPool
from hale.ssh.inventory_targets import LoginOptions, targets_of
from hale.ssh.remote import PRELUDE

HERE = Path(__file__).parent
PATIENCE = 300  # seconds for a member to be Ready, or for its objects to be removed
_SIGNED = "A membership has no plan to sign: remove the variable, and set it again afterwards."


@dataclass(frozen=True)
class Clusters:
    """Both clusters, and sessions to all of their hosts."""

    name: str
    first: Inventory
    second: Inventory
    on_first: SessionPool
    on_second: SessionPool

    def on_host(self, script: str, stdin: bytes = b"", **given: str) -> str:
        """Run a script with a client of Karmada's own apiserver. Raises UserError."""
        begin = karmada.karmada_script(name=self.name, **given)
        text = begin + load_script(HERE / f"{script}.sh")
        return run_on(self.on_first, self.first.masters[0].name, text, stdin)

    def on_member(self, script: str, **given: str) -> str:
        """Run a script on the member. Raises UserError."""
        begin = karmada.cluster_script(name=self.name, **given)
        text = begin + load_script(HERE / f"{script}.sh")
        return run_on(self.on_second, self.second.masters[0].name, text)


@contextmanager
def open_clusters(
    host: Path, member: Path, name: str, login: LoginOptions | None
) -> Iterator[Clusters]:
    """Both clusters, with every host reachable. Raises UserError."""
    first, second = (ini.load_inventory(path) for path in (host, member))
    for inventory in (first, second):
        approval.require_for_run(inventory, _SIGNED)
        if not inventory.masters:
            raise UserError(f"nothing was changed: {inventory.path} has no control-plane node.")
    own = {each.address for each in first.hosts}
    if shared := [each.name for each in second.hosts if each.address in own]:
        raise UserError(
            f"nothing was changed: {shared[0]} is in both inventories. --inventory is that of the "
            "cluster that joins or leaves, --host-inventory that of the one with Karmada."
        )
    name = name or second.cluster.name
    with (
        SessionPool(targets_of(first, login)) as on_first,
        SessionPool(targets_of(second, login)) as on_second,
    ):
        for sessions in (on_first, on_second):
            check_reachable(sessions)
        yield Clusters(name, first, second, on_first, on_second)


def run_on(sessions: SessionPool, host: str, script: str, stdin: bytes = b"") -> str:
    """The script's output, which may be a secret. Raises UserError with the end of its errors."""
    text = f"{PRELUDE}set -eu\n{script}"
    try:
        done = sessions.session(host).run(f"/bin/sh -c {shlex.quote(text)}", PATIENCE + 60, stdin)
    except RemoteError as error:
        raise UserError(f"{host}: {redact(str(error))}") from None
    if done.exit_status:
        errors = redact(done.stderr.decode(errors="backslashreplace")).strip().splitlines()[-3:]
        raise UserError(f"{host}: {'; '.join(errors) or f'exit status {done.exit_status}'}")
    return done.stdout.decode(errors="backslashreplace")
