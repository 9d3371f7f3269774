"""YAML that an operator has written, within limits (hale/model/bounded_yaml.py)."""

from pathlib import Path
from typing import Any

import yaml

from hale.model import bounded_yaml
from hale.model.errors import Location, UserError

# Kubernetes' largest CRDs have some 50,000 values.
LIMITS = bounded_yaml.Limits(values=1_000_000, characters=64 << 20, levels=100)


def load_documents(path: Path, raw: bytes) -> list[Any]:
    """The documents of a file with this content, without empty ones. Raises UserError."""
    try:
        return [
            d for d in bounded_yaml.load_documents(yaml.SafeLoader(raw), LIMITS) if d is not None
        ]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).split("\n", 1)[0]
        raise UserError(
            f"invalid YAML: {problem}.", Location(path, mark.line + 1 if mark else 0)
        ) from None
    except RecursionError:
        raise UserError("invalid YAML: nested too deep.", Location(path)) from None
    # A date that is none, a number of thousands of digits.
    except (bounded_yaml.YamlTooLarge, ValueError, OverflowError) as error:
        raise UserError(f"invalid YAML: {error}.", Location(path)) from None
