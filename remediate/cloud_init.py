"""Hale's own drop-in, read last, which keeps cloud-init from overwriting what Hale has fixed.

Source: cloud-init's documentation, "Configuration sources": the files of cloud.cfg.d are merged
over cloud.cfg in the order of their names, and user data over both.
"""

from hale.model.change import AppendLine, FileEdit, ManualStep, Remedy
from hale.model.evidence import ConfigLine

FOLDER = "/etc/cloud/cloud.cfg.d/"
DROP_IN = f"{FOLDER}zz-hale.cfg"


def conflicting_setting(key: str, value: str, against: ConfigLine, why: str) -> Remedy:
    """`key: value` in the drop-in, if that is read after the conflicting line; else a manual
    step."""
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
    """`key: value` in the drop-in, for a key that no file sets."""
    return FileEdit(DROP_IN, (AppendLine(f"{key}: {value}"),), why)
