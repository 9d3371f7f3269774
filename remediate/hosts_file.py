"""The VIP's names in /etc/hosts: one line that maps them to the VIP, none that contradicts it.

A wrong line is commented out; if it has other names too, a line with those follows it. The rest of
the file and its order are kept. On a host in a cluster, this moves the kubelet to the VIP, so the
apiserver must already answer there.

Sources: hosts(5); nsswitch.conf(5); nscd(8), sss_cache(8); cloud-init, "Update Etc Hosts".
"""

import re

from facts.hosts_file import (
    HOSTS,
    HostsEntry,
    HostsFileParameters,
    HostsFilePersisted,
    HostsFileRuntime,
)
from hale.model.change import (
    COMMENTED,
    AppendLine,
    FileEdit,
    Impact,
    LineEdit,
    ManualStep,
    Remedy,
    ReplaceLine,
)
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case
from remediate import cloud_init

KINDS = (FileEdit,)
IMPACTS = (Impact.DISRUPTS_TRAFFIC,)


def scope(parameters: HostsFileParameters) -> RemedyScope:
    """The file, and what keeps cloud-init from writing it."""
    return RemedyScope(files=(HOSTS, cloud_init.DROP_IN))


# The characters that hosts(5) allows in a name, and the underscore, which occurs in practice. A
# name with any other character cannot be written back exactly as it was read.
WRITABLE = re.compile(r"[\w.-]+", re.ASCII)


def fix_runtime(fact: HostsFileRuntime, case: Case[HostsFileParameters]) -> tuple[Remedy, ...]:
    """Nothing where the file is wrong, which `persisted` fixes; else a manual step."""
    if fact.file_right is False:
        return ()
    wrong = "; ".join(
        f"{a.name} resolves to {' and '.join(a.addresses) or 'nothing'}"
        for a in fact.answers
        if a.addresses != (fact.vip,)
    )
    order = " and ".join(f"{s} says `{s.text}`" for s in fact.sources) or "there is no hosts: line"
    state = f"{HOSTS} is right" if fact.file_right else f"{HOSTS} could not be read"
    return (
        ManualStep(
            f"{wrong}, though {state}: another source of names answers before it ({order}). Put "
            "`files` first in the `hosts:` line of /etc/nsswitch.conf (on Red Hat with "
            "`authselect`, which overwrites other edits), empty the caches (`nscd -i hosts`, "
            "`sss_cache -E`, `resolvectl flush-caches`), and see what "
            f"`getent ahosts {case.inventory.endpoint.names[0]}` says."
        ),
    )


def fix_persisted(fact: HostsFilePersisted, case: Case[HostsFileParameters]) -> tuple[Remedy, ...]:
    """The file is corrected, and kept from being regenerated at boot."""
    if fact.lost:
        lines = "; ".join(f"{line} {line.note}" for line in fact.lost)
        return (
            ManualStep(
                f"{lines}. Make {HOSTS} a file of its own that a boot keeps: copy what it leads to "
                "into its place (`cp --remove-destination`), unmount what covers it, take the "
                "mount out of /etc/fstab, or disable its unit, and give "
                "/etc/tmpfiles.d a file of the same name without the line. Then plan again: Hale "
                "does not edit a file that no boot will read."
            ),
        )
    if fact.private:
        return (
            ManualStep(
                f"`chmod 644 {HOSTS}`; if it is a link, see that everybody may enter the folders "
                f"on its way (`namei -l {HOSTS}`): daemons and users other than root read it too."
            ),
        )
    changes = () if fact.right else _file(fact)
    if fact.rewritten is None:
        return changes
    why = (
        f"{fact.rewritten} has cloud-init rewrite {HOSTS} at every boot, which takes the VIP's "
        "names out of it."
    )
    return (
        *changes,
        cloud_init.conflicting_setting("manage_etc_hosts", "false", fact.rewritten, why),
    )


def _file(fact: HostsFilePersisted) -> tuple[Remedy, ...]:
    if odd := [entry for entry in fact.entries if not _writable(entry)]:
        lines = "; ".join(f"{e.source}: {e.source.text}" for e in odd)
        return (
            ManualStep(
                f"take {' and '.join(dict.fromkeys(n for e in odd for n in e.wrong))} out of "
                f"{lines}: it has other names that Hale cannot write again byte for byte."
            ),
        )
    edits: list[LineEdit] = [
        ReplaceLine(e.source.line, e.source.text, _new(e)) for e in fact.entries
    ]
    if fact.missing:
        edits.append(AppendLine(" ".join((fact.vip, *fact.missing))))
    effects = (Impact.DISRUPTS_TRAFFIC,) if fact.joined and fact.contradicting else ()
    return (FileEdit(HOSTS, tuple(edits), _why(fact), effects),)


def _kept(entry: HostsEntry) -> tuple[str, ...]:
    return tuple(name for name in entry.names if name not in entry.wrong)


def _writable(entry: HostsEntry) -> bool:
    kept = _kept(entry)
    return not kept or all(WRITABLE.fullmatch(name) for name in kept)


def _new(entry: HostsEntry) -> str:
    """The line as a comment; below it, the line without the wrong names, if others remain."""
    kept = _kept(entry)
    return "\n".join([COMMENTED, *([" ".join((entry.address, *kept))] if kept else [])])


def _why(fact: HostsFilePersisted) -> str:
    parts = [
        f"{entry.source} gives {entry.address} to {' and '.join(entry.wrong)}"
        + (
            ", as a line before it does"
            if entry.source not in fact.contradicting
            else ", which contradicts the plan"
        )
        for entry in fact.entries
    ]
    if fact.missing:
        parts.append(f"no line gives {fact.vip} to {' or '.join(fact.missing)}")
    moved = (
        f" (this host is in a cluster, {fact.joined}: its kubelet will go to {fact.vip} from now "
        "on, so the apiserver must answer there)"
        if fact.joined and fact.contradicting
        else ""
    )
    return f"{'; '.join(parts)}{moved}."
