"""The kernel's switches for bridged packets: they come with their module."""

from facts.bridge import Parameters, Runtime
from hale.change import ByHand, Change, Effect, ModuleChange
from hale.requirement import Case


def runtime(fact: Runtime, case: Case[Parameters]) -> tuple[Change, ...]:
    """Load the module. What is there and no folder is no kernel's doing."""
    if fact.kind:
        return (
            ByHand(
                f"{fact.path} is there, but is no folder: something is mounted over /proc. See "
                "`findmnt -R /proc`."
            ),
        )
    why = (
        f"{fact.path} comes with {case.parameters.module}. From then on packets between two "
        "ports of a bridge meet the rules of iptables, which may drop what passed before."
    )
    return (ModuleChange(case.parameters.module, why, effects=(Effect.TRAFFIC,)),)
