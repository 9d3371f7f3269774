"""YAML of a host, within the limits of a host. Not a subject."""

from itertools import islice
from typing import Any

from hale.model import bounded_yaml, budgets
from hale.model.evidence import Unreadable

_LIMITS = bounded_yaml.Limits(budgets.YAML_BYTES, budgets.YAML_BYTES, budgets.YAML_LEVELS)


class InvalidYaml(ValueError):
    """The text is no YAML document; the message is one line."""


def load(text: str, path: str) -> Any:
    """The document; None if there is none.

    Raises InvalidYaml, and Unreadable where it exceeds a limit, which its program may well read.
    """
    import yaml  # slower to import than all of facts/, and not always needed

    if len(text) > budgets.YAML_BYTES:
        raise Unreadable(f"{path}: more than {budgets.YAML_BYTES >> 10} KiB of YAML")
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        found = [*islice(bounded_yaml.load_documents(loader, _LIMITS), 2)]
    except bounded_yaml.YamlTooLarge as error:
        raise Unreadable(f"{path}: {error}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidYaml(str(error).split("\n", 1)[0]) from None
    if len(found) > 1:
        raise InvalidYaml("more than one document")
    return found[0] if found else None
