"""The functions that several probes start with, in POSIX sh. Not a subject.

A probe that lacks a program or access reports that by its exit status, and the reason on stderr:
`need` checks programs, `enter` folders, `readable` a file. A missing folder is not an error, a
missing file is another one than a file that this user cannot read.
`capture` runs a command whose output is parsed.
"""

from pathlib import Path

from hale.shell import load_script

PRELUDE = load_script(Path(__file__).with_suffix(".sh"))
