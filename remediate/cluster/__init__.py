"""The install's phases, one a file, in their order; and `reset`, which takes the cluster off.

All are pure: from what facts/ read, and from the inventory, to steps. See hale/install/step.py.
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
)
