"""What loading br_netfilter does: the folder is there."""

import msgspec

from hale.model.change import ModuleChange, Remedy
from tests.facts.test_cases import GivenFile, GivenHost


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if not isinstance(change, ModuleChange):
        return host
    folder = {"/proc/sys/net/bridge": GivenFile(kind="d")}
    return msgspec.structs.replace(host, files=host.files | folder)
