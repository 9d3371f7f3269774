"""CPUs and memory are given by people; an offline CPU may only be asleep.

Sources: the kernel's Documentation/core-api/cpu_hotplug.rst; kubeadm, "Before you begin".
"""

from facts.resources import CPUS, MEMORY, ResourcesParameters, ResourcesRuntime
from hale.model.change import ManualStep, Remedy
from hale.model.requirement import Case


def runtime(fact: ResourcesRuntime, case: Case[ResourcesParameters]) -> tuple[Remedy, ...]:
    """What to give the machine, and where to look first."""
    wanted, changes = case.parameters, list[Remedy]()
    if fact.cpus < wanted.cpus:
        changes.append(
            ManualStep(
                f"CPUs online: {fact.cpus} ({CPUS}); wanted: {wanted.cpus}. See whether "
                "more are there and offline (`lscpu`; `cat /sys/devices/system/cpu/present`): "
                "`chcpu -e 1` brings CPU 1 back, and a kernel argument (maxcpus=, nr_cpus=, nosmt) "
                "may have taken it away. Else give the machine more, which for most means to "
                "drain it and shut it down."
            )
        )
    if fact.memory_mib < wanted.usable_mib:
        changes.append(
            ManualStep(
                f"{fact.memory_mib:.0f} MiB of memory are usable ({MEMORY}, MemTotal), and "
                f"{wanted.usable_mib:.0f} MiB are wanted. See what is installed and what the "
                "kernel keeps (`dmidecode -t memory`; `journalctl -k | grep Memory:`; a "
                "crashkernel= argument), and give the machine more: drain it, shut it down, one "
                "master at a time."
            )
        )
    return tuple(changes)
