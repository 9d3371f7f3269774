"""Boots a host after it rebooted itself; started by the parent of its nspawn (lab.nspawn).

It runs in the host's control groups, so a power cut or `lab.down` ends it too.
"""

from __future__ import annotations

import sys

from lab.machine import Lab

if __name__ == "__main__":
    _, name, host = sys.argv
    Lab(name)[host].boot_after_exit()
