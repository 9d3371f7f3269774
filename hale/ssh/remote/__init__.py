"""Shell scripts for hosts: package data beside the code that sends them, and what they share.

A script is POSIX sh in a `.sh` file, checked by shellcheck in `make lint`. What Python knows comes
before it as `name=value` lines (`variables`), so nothing is formatted into a script.
"""

import shlex
from functools import cache
from pathlib import Path

from hale.files import script

HERE = Path(__file__).parent
load_script = cache(script.load_script)


def variables(**values: str) -> str:
    """Assignments of shell variables, a line each, quoted."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


# What every script begins with: locale and PATH.
PRELUDE = load_script(HERE / "prelude.sh")
# After PRELUDE, for programs under /usr/local and without the environment's proxies.
LOCAL_PROGRAMS = load_script(HERE / "local_programs.sh")
# Defines `replace_file NEW FILE`.
ATOMIC_WRITE = load_script(HERE / "atomic_write.sh")
