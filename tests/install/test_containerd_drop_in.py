"""What containerd 2 makes of the file beside a site's config.toml: it reads both itself."""

import os
import subprocess
from pathlib import Path

import pytest

from facts.cluster import containerd_config
from facts.cluster.containerd_config import Settings
from hale.install.phase import Observations
from remediate.cluster import containerd_drop_in
from remediate.cluster.containerd_drop_in import CONFIG, DROP_IN
from tests.install import factories

pytestmark = pytest.mark.lab

WANTED = Settings("registry.example:5000/k8s/pause:3.10.1", True, "/etc/containerd/certs.d")
OF_2 = """
[plugins."io.containerd.grpc.v1.cri"]
  max_concurrent_downloads = 5
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sandboxed]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.sandboxed.options]
  NoNewKeyring = true
"""
OF_3 = """
[plugins."io.containerd.cri.v1.images"]
  max_concurrent_downloads = 5
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.sandboxed]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.sandboxed.options]
  NoNewKeyring = true
"""


class Site:
    """A site's files, where nothing else reads them."""

    def __init__(self, containerd: Path, folder: Path, version: int) -> None:
        self.config, self.drop_in = folder / "config.toml", folder / "conf.d" / "zz-hale.toml"
        self.drop_in.parent.mkdir()
        self.text = f'version = {version}\nroot = "/data/containerd"\nimports = ["conf.d/*.toml"]\n'
        self.text += OF_2 if version == 2 else OF_3
        self.config.write_text(self.text)
        self._env = os.environ | {"PATH": f"{containerd}:{os.environ['PATH']}"}

    def run(self, script: str, **more: str) -> "subprocess.CompletedProcess[str]":
        argv = ["sh", "-c", f"set -eu\n{script}"]
        return subprocess.run(
            argv, env=self._env | more, capture_output=True, text=True, check=False
        )

    def observed(self) -> Observations:
        answer = self.run(containerd_config.probe(str(self.config)).script)
        assert answer.stdout, answer.stderr
        written, files = "joined\n", {CONFIG: self.text}
        if self.drop_in.exists():
            written += f"hale {DROP_IN}\n{'0' * 64} 644 1.0 {DROP_IN}\n"
            files[DROP_IN] = self.drop_in.read_text()
        outputs = {"containerd.settings": answer.stdout, "written.files": written}
        return factories.observed({"m1": outputs}, {"m1": files})

    def check(self, content: str) -> "subprocess.CompletedProcess[str]":
        """By the script that must accept the new file, before it replaces another."""
        new = self.config.parent / ".hale-new.abc"
        new.write_text(content)
        return self.run(containerd_drop_in.check().replace(CONFIG, str(self.config)), new=str(new))


@pytest.fixture(params=[2, 3, 4])
def site(request: pytest.FixtureRequest, containerd: Path, tmp_path: Path) -> Site:
    return Site(containerd, tmp_path, request.param)


def test_containerd_has_the_settings_and_the_sites_own(site: Site) -> None:
    before = containerd_config.read(site.observed().of("m1", containerd_config.SUBJECT))
    assert before is not None
    assert before.effective == before.default != WANTED
    drop_in = containerd_drop_in.find(site.observed(), "m1", WANTED)
    assert drop_in is not None
    assert (drop_in.reads_certs, drop_in.others) == (True, ())
    done = site.check(drop_in.content)
    assert done.returncode == 0, done.stderr

    site.drop_in.write_text(drop_in.content)
    after = containerd_config.read(site.observed().of("m1", containerd_config.SUBJECT))
    assert after is not None
    assert after.effective == WANTED
    shown = site.run(f"containerd -c {site.config} config dump").stdout
    assert "root = '/data/containerd'" in shown
    assert "NoNewKeyring = true" in shown
    assert "max_concurrent_downloads = 5" in shown
    # It stays as it is, and follows the inventory.
    assert containerd_drop_in.find(site.observed(), "m1", WANTED) == drop_in
    other = containerd_drop_in.find(site.observed(), "m1", WANTED._replace(sandbox="pause:4"))
    assert other is not None
    assert "'pause:4'" in other.content


def test_what_the_site_has_set_stays(site: Site) -> None:
    table = '"io.containerd.grpc.v1.cri"]\n  sandbox_image'
    if "version = 2" not in site.text:
        table = '"io.containerd.cri.v1.images".pinned_images]\n  sandbox'
    (site.drop_in.parent / "own.toml").write_text(
        f'{site.text.partition(chr(10))[0]}\n[plugins.{table} = "own/pause:1"\n'
    )
    drop_in = containerd_drop_in.find(site.observed(), "m1", WANTED)
    assert drop_in is not None
    assert "pause" not in drop_in.content
    assert drop_in.others == (f"sandbox = 'own/pause:1', not {WANTED.sandbox!r}",)
    assert site.check(drop_in.content).returncode == 0


def test_a_file_that_changes_more_is_refused(site: Site) -> None:
    drop_in = containerd_drop_in.find(site.observed(), "m1", WANTED)
    assert drop_in is not None
    done = site.check(f'{drop_in.content}\n[plugins."io.containerd.gc.v1.scheduler"]\n'
                      "  pause_threshold = 0.5\n")  # fmt: skip
    assert (done.returncode, "would change other settings" in done.stderr) == (1, True)
    assert site.check(f"{drop_in.content}\nnonsense\n").returncode == 1
    assert site.check(drop_in.content.replace("version = ", "version = 9")).returncode == 1


def test_a_config_that_containerd_cannot_read_gets_no_file(site: Site) -> None:
    site.config.write_text("nonsense\n")
    answer = site.run(containerd_config.probe(str(site.config)).script)
    assert (answer.returncode, answer.stdout) == (0, "")
