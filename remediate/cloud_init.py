"""Keeps cloud-init from writing what Hale has mended: a drop-in of Hale's own, read last.

Source: cloud-init's documentation, "Configuration sources": cloud.cfg.d is merged in the order
of its names over cloud.cfg, and the user's data over both.
"""

from hale.model.change import AppendLine, FileEdit, ManualStep, Remedy
from hale.model.evidence import ConfigLine

FOLDER = "/etc/cloud/cloud.cfg.d/"
DROP_IN = f"{FOLDER}zz-hale.cfg"


def conflicting_setting(key: str, value: str, against: ConfigLine, why: str) -> Remedy:
    """`key: value` in the drop-in, where that is read after the line that now says otherwise."""
    if against.path == "/etc/cloud/cloud.cfg" or (
        against.path.startswith(FOLDER) and against.path < DROP_IN
    ):
        return add_setting(key, value, why)
    return ManualStep(
        f"{why} No file under {FOLDER} wins over {against} ({against.text}): set `{key}: {value}` "
        f"where that comes from, which for {against.path.rpartition('/')[2]} is the user data of "
        "the machine at its cloud, or switch cloud-init off with "
        "`touch /etc/cloud/cloud-init.disabled`."
    )


def add_setting(key: str, value: str, why: str) -> Remedy:
    """`key: value` in the drop-in, where no file says anything of the key."""
    return FileEdit(DROP_IN, (AppendLine(f"{key}: {value}"),), why)
