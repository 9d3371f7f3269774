"""What loading br_netfilter does: its parameters are there, at the kernel's own default.

A value written to an interface's key shows in the list of these.
"""

import msgspec

from hale.model.change import KernelValueChange, ModuleChange, Remedy
from tests.facts.test_cases import GivenFile, GivenHost, GivenOutput


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if isinstance(change, KernelValueChange) and "leads" in host.outputs:
        old = f"{change.path}:{change.precondition}\n"
        listed = host.outputs["leads"].stdout.replace(old, f"{change.path}:{change.value}\n")
        outputs = {**host.outputs, "leads": GivenOutput(stdout=listed)}
        return msgspec.structs.replace(host, outputs=outputs)
    if not isinstance(change, ModuleChange):
        return host
    made = {
        f"/proc/sys/net/bridge/bridge-nf-call-{kind}": GivenFile(text="1\n")
        for kind in ("iptables", "ip6tables")
    }
    return msgspec.structs.replace(host, files=host.files | made)
