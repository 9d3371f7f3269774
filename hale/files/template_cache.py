"""Where compiled Jinja templates are kept from one run to the next."""

import os
import sys
from importlib.util import cache_from_source
from pathlib import Path

from jinja2 import FileSystemBytecodeCache


def bytecode_cache() -> FileSystemBytecodeCache | None:
    """Keeps compiled templates beside Python's own compiled files, where those are kept.

    A template is found by its path and content alone, so environments that compile one template
    in different ways must not share the cache.
    """
    folder = Path(cache_from_source(__file__)).parent
    kept = not sys.dont_write_bytecode and os.access(folder, os.W_OK)
    return FileSystemBytecodeCache(str(folder)) if kept else None
