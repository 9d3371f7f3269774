"""Where the tree's own folders are."""

from pathlib import Path

#: The top of the tree: standard/, checks/, inventory.ini and reports/ stand there.
ROOT = Path(__file__).resolve().parent.parent
