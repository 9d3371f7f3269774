"""A notice: what a run shows that fails nothing yet, because a later version ends or begins it."""

from enum import StrEnum

from msgspec import Struct


class NoticeState(StrEnum):
    """What becomes of it at the notice's version.

    FAILS: a row that is not failed now. UNKNOWN_VERSION: no version is known, so nothing is.
    """

    DEPRECATED = "deprecated"
    DISABLED = "off by default"
    ENDS = "ends"
    FAILS = "fails"
    UNKNOWN_VERSION = "version unknown"


class Notice(Struct, frozen=True):
    """One notice for the hosts that it concerns; `cluster` for a row of the cluster.

    requirement: its id; empty where it concerns the run. what: the value in use, or what was found.
    product, used: whose version, and the one in use. version: from which on `state` is so.
    deprecated, disabled, until: of the value. A version is written like `1.35`, and empty where
    there is none. source: where upstream states it. instead: what to use.
    """

    state: NoticeState
    requirement: str
    what: str
    hosts: list[str]
    product: str
    used: str = ""
    version: str = ""
    deprecated: str = ""
    disabled: str = ""
    until: str = ""
    source: str = ""
    instead: str = ""
