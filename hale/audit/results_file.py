"""results.json on disk. docs/results.md describes it; hale/model/results.py has its structs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hale.files import atomic, versioned
from hale.model.results import SCHEMA, Results, Run
from hale.redact import redact


def save_results(
    results: Results, path: Path, write: Callable[[Path, bytes], None] = atomic.write
) -> None:
    """Write the file in one step, so that it is never there in part."""
    write(path, encode_results(results))


def encode_results(results: Results) -> bytes:
    """The content of results.json."""
    try:
        encoded = msgspec.json.encode(results)
    except UnicodeEncodeError:  # Python's stand-ins for bytes of paths and arguments
        encoded = msgspec.json.encode(_encodable(msgspec.to_builtins(results)))
    return msgspec.json.format(encoded, indent=1) + b"\n"


def _encodable(value: Any) -> Any:
    """The same with `\\udcff` spelled out, wherever a byte was not UTF-8."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(one) for one in value]
    return value


def without_secrets(run: Run) -> Run:
    """The run with passwords of the command line masked: `--hosts=ssh://root:…@host`."""
    return msgspec.structs.replace(
        run,
        command_line=[redact(word) for word in run.command_line],
        hosts_expression=redact(run.hosts_expression),
        metadata={redact(name): redact(value) for name, value in run.metadata.items()},
    )


def load_results(path: Path) -> Results:
    """Read a results file. Raises UserError if it is no results file or of another version."""
    return versioned.load(path, Results, SCHEMA, "results")
