"""The install's phases, one a file, in the order of their needs; and `reset`.

All are pure: from what facts/ read, and from the inventory, to steps. See hale/install/phase.py.
"""

PHASES = (
    "packages",
    "runtime",
    "load_balancer",
    "images",
    "init",
    "readyz",
    "network",
    "masters",
    "workers",
    "dns",
    "addons",
    "ready",
)
