"""What the engine is told of the host that answered: all that could be seen, and never an error."""

from facts import identity
from hale.inventory.ini import Host
from hale.model.errors import Location
from hale.model.evidence import Evidence, File, FileProbe, HostView, Output

EMPTY = identity.Identity(None, None, None, None, None, None, None, ())
STAT = "1 (a name) with 2) S 0 1 1 0 -1 4194560 1 2 0 7 7 3 5 2 20 0 13 0 2550 447 3 1"


def identity_of(
    files: dict[str, str],
    who: Output | None = None,
    down: str = "",
    files_trouble: str = "",
) -> identity.Identity:
    host = Host("h", None, frozenset(), {}, Location(""))
    probes = identity.probes(host, [])
    patterns = [p for probe in probes if isinstance(probe, FileProbe) for p in probe.patterns]
    listed = {p: File(p, "f", None, 0.0, tuple(t.splitlines())) for p, t in files.items()}
    outputs = {"identity.who": who} if who else {}
    evidence = Evidence(
        "h", outputs, listed, frozenset(patterns), files_error=files_trouble, unreachable=down
    )
    return identity.read(HostView(evidence, "identity"))


def who(text: str, status: int = 0) -> Output:
    return Output("who", status, text, "", 0.0)


def test_everything() -> None:
    card = "/sys/class/net/eth0"
    found = identity_of(
        {
            "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
            "/proc/sys/kernel/random/boot_id": "d09ddd0b-ddda-4d0a-aa26-4d7a2dabac7a\n",
            "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
            "/proc/sys/kernel/osrelease": "6.1.0-21-amd64\n",
            "/sys/class/dmi/id/product_uuid": "4C4C4544-0042\n",
            "/proc/1/stat": STAT,
            f"{card}/address": "52:54:00:00:00:0A\n",
            f"{card}/type": "1\n",
            f"{card}/device/uevent": "DRIVER=virtio_net\n",
        },
        who("ops\nbtime 1700000000\n100\n"),
    )
    assert found == identity.Identity(
        machine_id="0123456789abcdef0123456789abcdef",
        boot_id="d09ddd0b-ddda-4d0a-aa26-4d7a2dabac7a",
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.1.0-21-amd64",
        effective_user="ops",
        boot_time=1700000025.5,
        product_uuid="4c4c4544-0042",
        macs=("52:54:00:00:00:0a",),
    )


def test_nothing() -> None:
    assert identity_of({}) == EMPTY


def test_host_down() -> None:
    assert identity_of({}, down="no route") == EMPTY


def test_files_not_read() -> None:
    assert identity_of({}, files_trouble="find: not found") == EMPTY


def test_command_failed_or_garbled() -> None:
    stat = {"/proc/1/stat": STAT}
    for broken in (
        who("ops\n", 1),
        who("", 127),
        who("ops\n", 124),
        who("ops\nbtime x\n100\n"),
        who("ops\n"),
        who("motd\nops\nbtime 1700000000\n100\n"),
    ):
        assert identity_of(stat, broken) == EMPTY


def test_no_ticks_in_a_second_tell_no_time() -> None:
    assert identity_of({"/proc/1/stat": STAT}, who("ops\nbtime 17\n0\n")).boot_time is None


def test_stat_cut_short_tells_no_time() -> None:
    found = identity_of({"/proc/1/stat": "1 (init) S 0"}, who("ops\nbtime 17\n100\n"))
    assert found.boot_time is None
    assert found.effective_user == "ops"


def test_empty_files() -> None:
    empty = ("/etc/machine-id", "/proc/1/stat", "/etc/os-release", "/sys/class/net/eth0/address")
    assert identity_of(dict.fromkeys(empty, ""), who("ops\nbtime 17\n100\n")).machine_id is None
