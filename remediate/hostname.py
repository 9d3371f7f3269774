"""The planned host name, now and after a boot; never on a host that is in a cluster.

A node's name is in its certificate, in its Node object and, on a master, in its etcd member: a
host that changes its name is unknown to its own cluster.

Sources: hostname(5); systemd(1) (`systemd.hostname=`); cloud-init, "Set Hostname"; kubeadm,
"Remove the node" and `kubeadm reset`; kubernetes.io, "Safely Drain a Node".
"""

from facts.hostname import KERNEL, STATIC, HostnameParameters, HostnamePersisted, HostnameRuntime
from hale.model.change import (
    AppendLine,
    FileEdit,
    Impact,
    KernelValueChange,
    ManualStep,
    Remedy,
    ReplaceLine,
)
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case
from remediate import boot_loader, cloud_init

KINDS = (FileEdit, KernelValueChange)
IMPACTS: tuple[Impact, ...] = ()


def scope(parameters: HostnameParameters) -> RemedyScope:
    """The name's files."""
    return RemedyScope(files=(STATIC, cloud_init.DROP_IN), kernel_values=(KERNEL,))


def fix_runtime(fact: HostnameRuntime, case: Case[HostnameParameters]) -> tuple[Remedy, ...]:
    """The kernel's name is set; running services may continue to show the old one."""
    if fact.joined:
        return (_rejoin(fact.name, fact.planned, fact.joined),)
    why = f"the running hostname is {fact.name or 'empty'}, and the plan says {fact.planned}."
    return (KernelValueChange(KERNEL, fact.name, fact.planned, why),)


def fix_persisted(fact: HostnamePersisted, case: Case[HostnameParameters]) -> tuple[Remedy, ...]:
    """The name in the file is set, and whatever would override it is changed."""
    if fact.joined:
        return (_rejoin(fact.name or "not set at boot", fact.planned, fact.joined),)
    changes: list[Remedy] = []
    if fact.strange:
        changes.append(
            ManualStep(
                f"{STATIC} is not a file. See what it is (`ls -ld {STATIC}`), move it away, and "
                f"run `echo {fact.planned} >{STATIC}`."
            )
        )
    elif fact.static is None or fact.static.text != fact.planned:
        changes.append(_file(fact))
    changes += [
        boot_loader.remove_argument_step(a, a.text, f"{a} would name this host at boot: {a.text}.")
        for a in fact.arguments
    ]
    changes += [
        ManualStep(
            f"{line} names this host otherwise after systemd has: {line.text}. Remove that line, "
            "or the unit or script that it is in."
        )
        for line in fact.later
    ]
    if fact.rewritten:
        why = f"{fact.rewritten} has cloud-init name this host at boot: {fact.rewritten.text}."
        preserve = fact.preserve
        changes.append(
            cloud_init.conflicting_setting("preserve_hostname", "true", preserve, why)
            if preserve
            else cloud_init.add_setting("preserve_hostname", "true", why)
        )
    return tuple(changes)


def _file(fact: HostnamePersisted) -> FileEdit:
    line = fact.static
    if line is None:
        why = f"{STATIC} has no name, and the plan says {fact.planned}."
        return FileEdit(STATIC, (AppendLine(fact.planned),), why)
    why = f"{line} says {line.text}, and the plan says {fact.planned}."
    return FileEdit(STATIC, (ReplaceLine(line.line, line.text, fact.planned),), why)


def _rejoin(name: str, planned: str, joined: str) -> ManualStep:
    return ManualStep(
        f"the hostname is {name} and the plan says {planned}, but this host is in a cluster "
        f"({joined}), where it is known under the name it joined with: under another one it does "
        "not come back. Either correct the plan (the inventory), or take the host out and in "
        "again, masters one at a time and only while etcd has all its members: from another "
        "master `kubectl get nodes -o wide` for the node's present name, `kubectl drain <node> "
        "--ignore-daemonsets --delete-emptydir-data`; on this host `kubeadm reset`; then "
        f"`kubectl delete node <node>`; on this host `hostnamectl set-hostname {planned}`; and "
        "`kubeadm join` as the cluster's installation does."
    )
