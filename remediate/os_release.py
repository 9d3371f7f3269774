"""An operating system is changed by people: a host is made anew, or the site accepts it.

Sources: kubeadm, "Before you begin"; kubernetes.io, "Safely Drain a Node".
"""

from facts.os_release import OsReleaseParameters, OsReleaseRuntime
from hale.inventory.ini import OVERRIDE_PREFIX
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: OsReleaseRuntime, case: Case[OsReleaseParameters]) -> tuple[Remedy, ...]:
    """How another system or kernel comes on the host, and how this one is accepted."""
    wanted, changes = case.parameters, list[Remedy]()
    prefix = f"{OVERRIDE_PREFIX}{case.requirement.id.lower().replace('-', '_')}__"
    where = f" ({fact.sources[0]})" if fact.sources else ""
    if not fact.is_one_of(wanted.accepted):
        accepted = f"none of {', '.join(wanted.accepted)}" if wanted.accepted else "not accepted"
        changes.append(
            ManualStep(
                f"{fact.system}{where} is {accepted}: install an accepted one (a node of a "
                "cluster is drained, reset with `kubeadm reset` and joined anew, masters one at a "
                "time); or, where this site has tried it, accept it in the inventory: "
                f"{prefix}accepted='[\"{fact.system}\"]'"
            )
        )
    if not fact.kernel_at_least(wanted.kernel):
        changes.append(
            ManualStep(
                f"the running kernel is {fact.kernel}, older than {wanted.kernel}: see whether a "
                "newer one is installed and was not booted (`ls /boot/vmlinuz-*`), else install "
                "one (`dnf upgrade kernel`, `apt-get install linux-image-amd64`), then drain the "
                "host and reboot it, masters one at a time; or accept it in the inventory: "
                f"{prefix}kernel={fact.kernel.partition('-')[0]}"
            )
        )
    return tuple(changes)
