"""A masked generator is no longer among those that run; what was in swap is in memory."""

import re

import msgspec

from hale.model.change import Remedy, SwapOff, SymlinkChange
from tests.facts.test_cases import GivenFile, GivenHost

FOLDER = "/etc/systemd/system-generators/"


MEMORY = "/proc/meminfo"


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if isinstance(change, SwapOff) and MEMORY in host.files:
        text = re.sub(
            r"(MemAvailable: +)(\d+)",
            lambda m: f"{m[1]}{int(m[2]) - change.used_kib}",
            host.files[MEMORY].text,
        )
        return msgspec.structs.replace(host, files=host.files | {MEMORY: GivenFile(text=text)})
    if not isinstance(change, SymlinkChange) or not change.path.startswith(FOLDER):
        return host
    gone = f"generator {change.path.removeprefix(FOLDER)}"
    old = host.outputs["generators"]
    lines = [line for line in old.stdout.split("\n") if line != gone]
    answers = {"generators": msgspec.structs.replace(old, stdout="\n".join(lines))}
    return msgspec.structs.replace(host, outputs=host.outputs | answers)
