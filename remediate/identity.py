"""Who a host is, is given by people: a node that becomes another one leaves its cluster first.

Sources: machine-id(5), systemd-machine-id-setup(1), dbus-uuidgen(1); kubeadm, "Verify the MAC
address and product_uuid are unique for every node".
"""

from facts.identity import MACHINE_ID, WORDS, IdentityParameters, IdentityRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case

NEW = (
    f"`rm -f {MACHINE_ID} /var/lib/dbus/machine-id`, `systemd-machine-id-setup`, `ln -s "
    f"{MACHINE_ID} /var/lib/dbus/machine-id` where that was a link or a copy, and reboot (DHCP "
    "may give the host another address then: look before)"
)
HOW = {
    "machine_id": NEW,
    "product_uuid": (
        "the hypervisor gives it: shut the machine down and give it a UUID of its own there "
        "(libvirt: `virt-clone`, or <uuid> of the domain; VMware: uuid.bios in the .vmx)"
    ),
    "mac": (
        "the hypervisor gives it: shut all but one of them down now, and give each an address of "
        "its own there (libvirt: <mac> of the interface); then look for it in the network's files "
        "(`grep -ri <address> /etc/netplan /etc/network /etc/sysconfig/network-scripts "
        "/etc/systemd/network /etc/NetworkManager`)"
    ),
}


def runtime(fact: IdentityRuntime, case: Case[IdentityParameters]) -> tuple[Remedy, ...]:
    """Which host keeps what it has, and how the others get their own."""
    word = WORDS[fact.what]
    changes: list[Remedy] = [
        ManualStep(
            f"{' and '.join(s.hosts)} have the same {word} {s.value}. One may keep it; on each of "
            f"the others: {HOW[fact.what]}. A node of a cluster is drained before, and one master "
            "is done at a time, while etcd has all its members."
        )
        for s in fact.shared
    ]
    if fact.unset:
        changes.append(
            ManualStep(f"no valid {word} on {' and '.join(fact.unset)}. On each: {HOW[fact.what]}.")
        )
    return tuple(changes)
