"""What scripts for hosts share (hale/shell.py): each is a piece of POSIX sh."""

from pathlib import Path

from hale.shell import load_script

HERE = Path(__file__).parent

# What every script begins with: locale and PATH.
PRELUDE = load_script(HERE / "prelude.sh")
# After PRELUDE, for programs under /usr/local and without the environment's proxies.
LOCAL_PROGRAMS = load_script(HERE / "local_programs.sh")
# The functions that write a host's files: `resolve`, `new_beside`, `copy_file`, `replace_file`.
ATOMIC_WRITE = load_script(HERE / "atomic_write.sh")
