"""What loading br_netfilter does: its parameters are there, at the kernel's own default."""

import msgspec

from hale.model.change import ModuleChange, Remedy
from tests.facts.test_cases import GivenFile, GivenHost


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if not isinstance(change, ModuleChange):
        return host
    made = {
        f"/proc/sys/net/bridge/bridge-nf-call-{kind}": GivenFile(text="1\n")
        for kind in ("iptables", "ip6tables")
    }
    return msgspec.structs.replace(host, files=host.files | made)
