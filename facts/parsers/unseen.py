"""What of the files that a boot uses a user other than root cannot read, in POSIX sh.

Not a subject. A probe that skips such files in silence makes rows PASS on files that were not read.
"""

from pathlib import Path

from hale.shell import load_script

UNSEEN = load_script(Path(__file__).with_suffix(".sh"))
