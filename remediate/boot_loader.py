"""Kernel arguments are removed by hand: a mistake there can prevent the next boot.

Sources: grubby(8); GRUB's manual, "Simple configuration handling"; Debian's update-grub(8);
kernel-install(8); Red Hat, "Configuring kernel command-line parameters".
"""

from facts.parsers.boot_loader import DEFAULTS, INSTALL
from facts.parsers.kernel_cmdline import PATH
from hale.model.change import ManualStep
from hale.model.evidence import ConfigLine

MENU = "`update-grub` (Debian) or `grub2-mkconfig -o /boot/grub2/grub.cfg` (Red Hat)"


def remove_argument_step(source: ConfigLine, argument: str, why: str) -> ManualStep:
    """The manual step that removes the argument from the boot loader's line that contains it."""
    grubby = f"`grubby --update-kernel=ALL --remove-args={argument.partition('=')[0]}`"
    if source.path == PATH:
        how = (
            f"The present boot has it. Where the boot loader has it too, take it out with {grubby} "
            f"(Red Hat), or out of /etc/default/grub and then {MENU}; reboot when that is safe."
        )
    elif source.path == INSTALL:
        how = (
            f"Take it out of {source}, and then for the kernels that are installed already run "
            "`kernel-install add $(uname -r) /lib/modules/$(uname -r)/vmlinuz`."
        )
    elif source.path in DEFAULTS or source.path.startswith("/etc/default/grub.d/"):
        how = f"Take it out of {source}, and then run {MENU}."
    elif "/grub/" in source.path:
        how = f"Take it out of /etc/default/grub, from which {source} is made: then `update-grub`."
    else:
        how = f"Take it out with {grubby}, of which `grubby --info=ALL` shows the effect."
    return ManualStep(f"{why} Hale edits no boot loader. {how}")
