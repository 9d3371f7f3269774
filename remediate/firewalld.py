"""firewalld is stopped, disabled and masked, unless the site's own rules would be lost with it.

Its rules apply only while it runs. When it stops, it flushes them, and with its older backend also
those of kube-proxy and the pod network, until these are written again. Only a mask is lasting: a
package update enables a unit that is merely disabled, and D-Bus starts it.

Sources: firewalld(1), firewalld.conf(5) (CleanupOnExit); systemctl(1) (stop, disable, mask);
systemd.unit(5) (Requires=, BindsTo=); dbus-daemon(1).
"""

from collections.abc import Sequence

from facts.firewalld import MASK_FOLDER, FirewalldParameters, FirewalldPersisted, FirewalldRuntime
from hale.inventory.ini import OVERRIDE_PREFIX
from hale.model.change import Impact, ManualStep, Remedy, SymlinkChange, UnitAction, UnitChange
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case

KINDS = (UnitChange, SymlinkChange)
IMPACTS = (Impact.DISRUPTS_TRAFFIC, Impact.IRREVERSIBLE)
NOTHING = "/dev/null"


def scope(parameters: FirewalldParameters) -> RemedyScope:
    """The unit and its mask."""
    unit = parameters.unit
    return RemedyScope(
        links={f"{MASK_FOLDER}/{unit}": (NOTHING,)},
        units={UnitAction.STOP: (unit,), UnitAction.DISABLE: (unit,)},
    )


def fix_runtime(fact: FirewalldRuntime, case: Case[FirewalldParameters]) -> tuple[Remedy, ...]:
    """systemd stops it, if systemd started it and no other unit stops with it."""
    unit = case.parameters.unit
    if kept := _kept(fact.site_rules, case):
        return (kept,)
    if fact.active in ("", "inactive", "failed"):
        pids = " ".join(map(str, fact.pids))
        return (
            ManualStep(
                f"{fact.actual}: no unit of systemd's that could be stopped. See who started it "
                f"(`ps -o pid,ppid,lstart,args -p {pids}`, `cat /proc/{pids.partition(' ')[0]}"
                "/cgroup`: it may be a container's), end that, and then `kill` what is left. Its "
                "rules stay until they are flushed: look at `nft list ruleset`."
            ),
        )
    if fact.needed_by:
        others = " and ".join(fact.needed_by)
        return (
            ManualStep(
                f"{others} requires {unit} and would stop with it. Remove the dependency "
                f"first (`systemctl cat {fact.needed_by[0]}`, lines Requires= or BindsTo=), "
                f"`systemctl daemon-reload`, and then `systemctl stop {unit}`."
            ),
        )
    why = f"{fact.actual}; its rules stand in front of those of kube-proxy and the pod network."
    # systemd can stop a masked unit, but not start it again.
    last = (Impact.IRREVERSIBLE,) if fact.enabled.startswith("masked") else ()
    return (
        UnitChange(
            unit, UnitAction.STOP, fact.active, fact.enabled, why, (Impact.DISRUPTS_TRAFFIC, *last)
        ),
    )


def fix_persisted(fact: FirewalldPersisted, case: Case[FirewalldParameters]) -> tuple[Remedy, ...]:
    """It is disabled where it is enabled, and masked, whatever starts it."""
    if kept := _kept(fact.site_rules, case):
        return (kept,)
    if needs := [t.line for t in fact.start_triggers if t.required]:
        lines = "; ".join(f"{line}: {line.text}" for line in needs)
        return (
            ManualStep(
                f"what needs {fact.unit} does not start where that is masked: {lines}. Remove "
                "the dependency first (or make it a Wants=), `systemctl daemon-reload`, and plan "
                "again."
            ),
        )
    if fact.blocking_file:
        return (
            ManualStep(
                f"{fact.blocking_file} is a unit file of the site's own, where a mask would lie. "
                f"Keep a copy of it elsewhere, remove it, `systemctl daemon-reload`, and then "
                f"`systemctl disable {fact.unit}` and `systemctl mask {fact.unit}`."
            ),
        )
    why = f"{'; '.join(map(str, fact.start_triggers))}."
    changes: list[Remedy] = []
    if fact.enabled == "enabled" and fact.link is None:
        changes.append(UnitChange(fact.unit, UnitAction.DISABLE, fact.active, fact.enabled, why))
    if fact.masked_by is None:
        changes.append(SymlinkChange(f"{MASK_FOLDER}/{fact.unit}", NOTHING, fact.link, why))
    changes += [
        ManualStep(
            f"{line} has D-Bus run the program itself ({line.text}), which no mask prevents: "
            f"move {line.path} away, and see which package has it (`rpm -qf` or `dpkg -S`)."
        )
        for line in (t.line for t in fact.start_triggers if t.runs_program and not t.command)
    ]
    changes += [
        ManualStep(
            f"{line} runs the program itself ({line.text}), which no mask prevents: remove that "
            "line, or disable the unit or the job of cron that it belongs to."
        )
        for line in (t.line for t in fact.start_triggers if t.runs_program and t.command)
    ]
    return tuple(changes)


def _kept(site_rules: Sequence[str], case: Case[FirewalldParameters]) -> ManualStep | None:
    """A manual step where the site's own rules would be lost, unless the inventory allows that."""
    if not site_rules or case.parameters.site_rules_may_go:
        return None
    unit, program = case.parameters.unit, case.parameters.program
    variable = (
        f"{OVERRIDE_PREFIX}{case.requirement.id.lower().replace('-', '_')}__site_rules_may_go"
    )
    return ManualStep(
        f"{program} has rules of this site's own, in force only while it runs: "
        f"{', '.join(site_rules)}. Read them (`firewall-cmd --list-all-zones`, "
        "`firewall-cmd --direct --get-all-rules`), put what must stay where it lasts (the "
        "network's firewall, nftables.service, policies of the pod network), and then say in the "
        f"inventory that they may go, {variable}=true, and plan again; or "
        f"`systemctl disable --now {unit}` and `systemctl mask {unit}`."
    )
