"""On a cluster that Hale did not build: an install changes what its plan names, and no more."""

import pytest

from lab import stranger as built
from tests.stranger.stranger_fixture import WITHOUT_LIMITS, Stranger


@pytest.mark.soak("a minute and a half")
def test_an_install_of_what_is_there_changes_nothing(stranger: Stranger) -> None:
    """All hosts have joined: what differs from Hale's own files is reported, and stays."""
    with stranger.unchanged():
        done = stranger.install(*WITHOUT_LIMITS)
    output = done.stdout[-4000:] + done.stderr[-2000:]
    assert done.returncode in (0, 1), output
    for path in ("/etc/haproxy/haproxy.cfg", "/etc/keepalived/keepalived.conf"):
        assert f"{path} is not as Hale wrote it: left as it is" in done.stdout, output
    assert [act.title for act in stranger.histories()[-1].acts] == [], output


@pytest.mark.soak("two minutes")
def test_without_kube_proxy_it_stays_without(stranger: Stranger) -> None:
    """Another program serves the Services; CoreDNS has another name anyway."""
    stranger.spoiled = True
    built.delete_kube_proxy(stranger.lab)
    with stranger.unchanged():
        done = stranger.install(*WITHOUT_LIMITS)
    output = done.stdout[-4000:] + done.stderr[-2000:]
    assert done.returncode in (0, 1), output
    assert [act.title for act in stranger.histories()[-1].acts] == [], output
    names = "-n kube-system get daemonsets,deployments -o name"
    assert not {"daemonset.apps/kube-proxy", "deployment.apps/coredns"} & set(
        stranger.kubectl(names).split()
    )
    built.restore_kube_proxy(stranger.lab)
    stranger.spoiled = False
