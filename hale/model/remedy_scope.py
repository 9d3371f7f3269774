"""What a remedy may touch on a host, as data: a module of remediate/ declares it in `scope`."""

from collections.abc import Mapping

from msgspec import Struct

from hale.model.change import UnitAction


class RemedyScope(Struct, frozen=True):
    """What the changes of a remedy may touch, for one host's parameters; nothing by default.

    Each text is a pattern, in which `*` stands for part of one name. files: those that are edited.
    links: the path of a link -> what it may lead to, "" for a link that is removed. units: the
    units of each action. modules: kernel modules that are loaded. kernel_values: files below
    /proc/sys and /sys, with those that the kernel changes as a side effect.
    """

    files: tuple[str, ...] = ()
    links: Mapping[str, tuple[str, ...]] = {}
    units: Mapping[UnitAction, tuple[str, ...]] = {}
    modules: tuple[str, ...] = ()
    kernel_values: tuple[str, ...] = ()
