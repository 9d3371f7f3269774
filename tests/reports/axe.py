"""axe-core, the checker of accessibility: by npm, pinned, kept in the user's cache."""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from hale.files import atomic

VERSION = "4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
SERIOUS = ("serious", "critical")
#: The faults that axe finds, those that matter: [rule, elements]. Sources: axe-core/doc/API.md.
RUN = f"""axe.run(document, {{resultTypes: ['violations']}}).then(found => found.violations
  .filter(fault => {list(SERIOUS)}.includes(fault.impact))
  .map(fault => [fault.id, fault.nodes.map(node => node.html.slice(0, 200))]))"""


def source() -> str:
    """The script; skips the test where it is not kept and cannot be had."""
    kept = user_cache_path("hale") / "axe-core" / f"axe-{VERSION}.min.js"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(kept, _packed())
    raw = kept.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == SHA256, f"{kept} is not axe-core {VERSION}"
    return raw.decode()


def _packed() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm here, which has axe-core")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"axe-core@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            subprocess.run(
                [*command, "--pack-destination", folder],
                cwd=folder, capture_output=True, timeout=60, check=True,
            )  # fmt: skip
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"npm has no axe-core: {error}")
        with tarfile.open(Path(folder, f"axe-core-{VERSION}.tgz")) as packed:
            file = packed.extractfile("package/axe.min.js")
            assert file is not None
            return file.read()
