"""The kernel's switches for bridged packets, which their module creates."""

from facts.bridge_netfilter import BridgeNetfilterParameters, BridgeNetfilterRuntime
from hale.model.change import Impact, ManualStep, ModuleChange, Remedy
from hale.model.remedy_scope import RemedyScope
from hale.model.requirement import Case

KINDS = (ModuleChange,)
IMPACTS = (Impact.DISRUPTS_TRAFFIC,)


def scope(parameters: BridgeNetfilterParameters) -> RemedyScope:
    """The module."""
    return RemedyScope(modules=(parameters.module,))


def fix_runtime(
    fact: BridgeNetfilterRuntime, case: Case[BridgeNetfilterParameters]
) -> tuple[Remedy, ...]:
    """The module is loaded. A path that is not a folder is a manual step: no kernel creates it."""
    if fact.kind:
        return (
            ManualStep(
                f"{fact.path} is there, but is no folder: something is mounted over /proc. See "
                "`findmnt -R /proc`."
            ),
        )
    why = (
        f"{fact.path} comes with {case.parameters.module}. From then on packets between two "
        "ports of a bridge meet the rules of iptables, which may drop what passed before."
    )
    return (ModuleChange(case.parameters.module, why, effects=(Impact.DISRUPTS_TRAFFIC,)),)
