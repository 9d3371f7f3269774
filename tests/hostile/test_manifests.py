"""YAML that an inventory names: small files that stand for a lot, end nowhere, or are no objects.

Each is refused in one line, before a host is contacted, whichever variable names it.
"""

from pathlib import Path

import pytest

from hale.install.cluster_context import documents
from hale.model.errors import UserError
from tests.install import factories
from tests.install.factories import NETWORK

OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
LEVELS = "\n".join(f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8))
MERGED = "\n".join(f"b{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 8))
CHAIN = "\n".join(f"b{n}: &a{n} [*a{n - 1}]" for n in range(1, 300))
#: The file, and the reason of the refusal.
FILES: dict[str, tuple[str, str]] = {
    "ten million values": (f"{OBJECT}b0: &a0 [x]\n{LEVELS}\n", "stand for more than 1000000"),
    "keys merged ten million times": (
        f"{OBJECT}b0: &a0 {{x: y}}\n{MERGED}\n",
        "stand for more than 1000000",
    ),
    "a chain of aliases": (f"{OBJECT}b0: &a0 [x]\n{CHAIN}\n", "nested deeper than 100 levels"),
    "within itself": (f"{OBJECT}data: &a {{b: *a}}\n", "an alias stands within its own anchor"),
    "its own metadata": ("kind: x\nmetadata: &a {labels: *a}\n", "within its own anchor"),
    "nested lists": (f"{OBJECT}data: {'[' * 1500}", "nested too deep"),
    "nested maps": (f"{OBJECT}data: {'{a: ' * 5000}1{'}' * 5000}\n", "nested too deep"),
    "a hundred levels": (f"{OBJECT}data: {'[' * 100}{']' * 100}\n", "deeper than 100 levels"),
    "no day": (f"{OBJECT}data: 2026-99-99\n", "month must be in 1..12"),
    "a long number": (f"{OBJECT}data: {'9' * 6000}\n", "Exceeds the limit"),
    "a tag": ("!!python/object/apply:os.system ['touch x']\n", "constructor for the tag"),
    "no mapping": ("- 1\n", "without `kind`"),
    "a kind that is a number": ("kind: 2\n", "without `kind`"),
    "metadata that is none": ("kind: x\nmetadata:\n", "`metadata` is no mapping"),
    "metadata that is a text": ("kind: x\nmetadata: y\n", "`metadata` is no mapping"),
    "items that are numbers": ("kind: List\nitems: [1]\n", "without `kind`"),
    "items that are a number": ("kind: List\nitems: 1\n", "without `kind`"),
    "an item without a kind": ("kind: List\nitems: [{a: b}]\n", "without `kind`"),
    "an unknown alias": ("kind: x\ndata: *a\n", "found undefined alias"),
    "a control character": ("kind: x\x1b[2J\n", "special characters are not allowed"),
}
#: What names such a file in an inventory.
NAMED = ("ingress=manifest:{}", "dashboard=manifest:{}", "addons={}", "kubeadm_extra={}")


@pytest.mark.parametrize("line", NAMED)
@pytest.mark.parametrize("name", FILES)
def test_it_is_refused(name: str, line: str, tmp_path: Path) -> None:
    text, why = FILES[name]
    with pytest.raises(UserError, match=why) as refused:
        factories.made(tmp_path, f"{line.format('site.yaml')}\n", site_yaml=text)
    assert "site.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_aliases_and_lists_are_read(tmp_path: Path) -> None:
    shared = f"{OBJECT}data: &a {{x: y}}\nmore: [*a, *a]\n---\nkind: List\nitems: [{{kind: y}}]\n"
    found = documents(tmp_path, f"{shared}---\n{NETWORK}".encode())
    assert [one["kind"] for one in found] == ["ConfigMap", "y", "Namespace", "DaemonSet"]
    assert found[0]["more"] == [{"x": "y"}] * 2
