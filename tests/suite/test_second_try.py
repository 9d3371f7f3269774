"""How the suite reports itself: the marker `lab`, the second try on real hosts, times of groups.

Each test runs pytest with the suite's own configuration and hooks on a folder of its own, whose
fixture `lab` is a number in place of hosts.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

LAB = """\
from pathlib import Path

import pytest

@pytest.fixture(scope="session")
def lab():
    with Path({log!r}).open("a") as log:
        log.write("raised\\n")
    yield 1

@pytest.fixture
def host(lab):
    return lab

def tries(name):
    path = Path({log!r}).with_name(name)
    count = len(path.read_text()) + 1 if path.exists() else 1
    path.write_text("x" * count)
    return count
"""


class Suite:
    """A folder with tests of its own, run by the hooks of tests/conftest.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()

    def run(self, tests: str, *options: str, **environment: str) -> tuple[int, str]:
        """Exit status and output of pytest with these tests in group/test_it.py."""
        group = self.folder / "group"
        group.mkdir(exist_ok=True)
        (group / "test_it.py").write_text(LAB.format(log=str(self.log)) + tests)
        own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HALE_"))}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest"]
        command += [f"--config-file={ROOT / 'tests' / 'pytest.ini'}", f"--rootdir={self.folder}"]
        done = subprocess.run(
            [*command, *options, str(self.folder)],
            env={**own, **environment, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=self.folder,
            text=True,
            capture_output=True,
            timeout=900,  # beside a cluster
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def raised(self) -> int:
        """How many times the lab was raised."""
        return len(self.log.read_text().splitlines())


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


ONCE = """
def test_once(host):
    assert tries("once") > 1, "the network lost a packet"
"""
TWICE = """
def test_twice(host):
    assert tries("twice") > 2, "it is broken"
"""
EVERY_WORKER = pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])


@EVERY_WORKER
def test_a_test_that_fails_once_is_named_flaky(suite: Suite, options: tuple[str, ...]) -> None:
    status, output = suite.run(ONCE, *options)
    assert status == 0, output
    first = output.partition("FLAKY group/test_it.py::test_once\n")[2].partition("\n")[0]
    assert first == "    first try: group/test_it.py:22: AssertionError: the network lost a packet"
    assert "1 passed, 1 rerun" in output.splitlines()[-1]
    assert suite.raised == 1, "the lab is the session's: the second try uses the same"


@EVERY_WORKER
def test_a_test_that_fails_twice_has_failed(suite: Suite, options: tuple[str, ...]) -> None:
    status, output = suite.run(ONCE + TWICE, *options)
    assert status == 1, output
    assert "FLAKY group/test_it.py::test_once\n" in output
    assert "FLAKY group/test_it.py::test_twice" not in output
    assert "FAILED TWICE group/test_it.py::test_twice\n" in output
    assert (suite.folder / "twice").read_text() == "xx", "two tries and no third"
    assert "1 failed, 1 passed, 2 rerun" in output.splitlines()[-1]


@EVERY_WORKER
def test_a_failure_is_named_when_it_happens(suite: Suite, options: tuple[str, ...]) -> None:
    status, output = suite.run(TWICE + "\ndef test_later(): pass\n", *options)
    assert status == 1, output
    line = "group/test_it.py::test_twice (call): group/test_it.py:22: AssertionError: it is broken"
    first = output.index(f"\nTRY AGAIN {line}\n")
    second = output.index(f"\nFAILED {line}\n")
    assert first < second < output.index("= FAILURES =")


@EVERY_WORKER
def test_a_run_that_takes_too_long_ends_itself(suite: Suite, options: tuple[str, ...]) -> None:
    tests = "\nimport time\ndef test_it(): time.sleep(3)\n"
    tests += "".join(f"def test_{n}(): time.sleep(1)\n" for n in range(20))
    status, output = suite.run(tests, *options, HALE_TEST_MINUTES="0.05")
    assert status == 2, output
    assert "HALE_TEST_MINUTES=0.05 are over" in output
    assert "error" in output.splitlines()[-1]
    assert "20 passed" not in output


def test_without_a_lab_there_is_no_second_try(suite: Suite) -> None:
    status, output = suite.run(ONCE.replace("host", ""))
    assert status == 1
    assert "FLAKY" not in output
    assert (suite.folder / "once").read_text() == "x"


def test_a_lab_that_cannot_be_raised_is_tried_once_for_all_tests(suite: Suite) -> None:
    broken = """
@pytest.fixture(scope="session")
def lab():
    tries("lab")
    raise RuntimeError("no memory")

def test_one(host): pass

def test_other(host): pass
"""
    status, output = suite.run(broken)
    assert status == 1
    assert "2 errors" in output.splitlines()[-1]
    assert (suite.folder / "lab").read_text() == "x"
    assert "FLAKY" not in output


@pytest.mark.parametrize("body", ["assert tries('body') > 1", "pass"], ids=["both", "undo alone"])
def test_a_fault_that_was_not_undone_is_final(suite: Suite, body: str) -> None:
    status, output = suite.run(f"""
@pytest.fixture
def fault(host):
    yield
    tries("undo")
    raise RuntimeError("still in")

def test_it(fault):
    {body}

def test_next(host): pass
""")
    assert status == 1, output
    assert "FLAKY" not in output
    assert (suite.folder / "undo").read_text() == "x"
    assert "1 error" in output.splitlines()[-1]
    assert suite.raised == 1


def test_a_second_try_that_is_not_undone_is_not_flaky(suite: Suite) -> None:
    status, output = suite.run("""
@pytest.fixture
def fault(host):
    yield
    assert tries("undo") < 2, "still in"

def test_it(fault):
    assert tries("body") > 1
""")
    assert status == 1
    assert "FAILED TWICE group/test_it.py::test_it\n" in output
    assert "FLAKY" not in output


def test_a_module_fixture_stays_for_the_second_try(suite: Suite) -> None:
    status, output = suite.run(
        """
@pytest.fixture(scope="module")
def hosts(lab):
    yield tries("begun")
    tries("ended")

def test_once(hosts):
    assert tries("once") > 1
"""
    )
    assert status == 0, output
    assert (suite.folder / "begun").read_text() == "x"
    assert (suite.folder / "ended").read_text() == "x"


def test_there_is_an_end_to_second_tries(suite: Suite) -> None:
    status, output = suite.run("""
@pytest.mark.parametrize("number", range(12))
def test_it(host, number):
    assert not tries(f"number-{number}"), "the hosts are gone"
""")
    assert status == 1
    assert "12 failed, 10 rerun" in output.splitlines()[-1], output


def test_second_tries_can_be_switched_off(suite: Suite) -> None:
    status, output = suite.run(ONCE, "--force-reruns=0")
    assert status == 1
    assert "FLAKY" not in output


def test_tests_that_reach_the_lab_through_other_fixtures_are_marked(suite: Suite) -> None:
    tests = "\ndef test_plain(): pass\n\ndef test_lab(host): pass\n"
    assert "1 passed, 1 deselected" in suite.run(tests, "-m", "not lab")[1]
    assert suite.raised == 0
    assert "1 passed, 1 deselected" in suite.run(tests, "-m", "lab")[1]
    assert suite.raised == 1


def test_a_skipped_lab_test_fails_where_the_lab_is_required(suite: Suite) -> None:
    tests = "\ndef test_lab(host): pytest.skip('no lab')\n"
    assert suite.run(tests)[0] == 0
    status, output = suite.run(tests, HALE_REQUIRE_LAB="1")
    assert status == 1
    assert "a lab test was skipped" in output


SIDE_BY_SIDE = ("-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder")
# The last test of what runs beside another group waits until that has begun.
TURN = """
import time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(3))
{marker}def test_it(number):
    began = time.time()
    log = Path({log!r})
    log.with_name("{group}-began").touch()
    beside = log.with_name("{beside}-began")
    waits = {beside!r} and number == 2
    while waits and not beside.exists() and time.time() < began + 240:
        time.sleep(0.01)
    with log.open("a") as file:
        file.write(f"{group} {{began}} {{time.time()}}\\n")
"""
BESIDE = {"cluster": "engine", "apply": "faults", "faults": "apply", "engine": ""}


def side_by_side(
    suite: Suite, groups: Mapping[str, str], **environment: str
) -> tuple[dict[str, tuple[float, float]], str]:
    """When each group began and ended, and the run's output; each with the group it runs beside."""
    log = suite.folder / "turns"
    for group, beside in groups.items():
        (suite.folder / group).mkdir()
        marker = "" if group == "engine" else "@pytest.mark.lab\n"
        test = TURN.format(group=group, marker=marker, log=str(log), beside=beside)
        (suite.folder / group / f"test_{group}.py").write_text(test)
    status, output = suite.run("", *SIDE_BY_SIDE, **environment)
    assert status == 0, output
    times: dict[str, list[float]] = {}
    for line in log.read_text().splitlines():
        group, *seconds = line.split()
        times.setdefault(group, []).extend(map(float, seconds))
    return {group: (min(of), max(of)) for group, of in times.items()}, output


def test_a_lab_stands_beside_the_cluster_where_there_is_room(suite: Suite) -> None:
    """One of its worker's own; tests that raise more of them wait."""
    groups = {"cluster": "apply", "apply": "", "lab": ""}
    times, _ = side_by_side(suite, groups, HALE_LAB_BESIDE_CLUSTER="1")
    assert times["apply"][0] < times["cluster"][1]
    assert times["cluster"][1] <= times["lab"][0]


def test_without_room_no_lab_stands_beside_the_cluster(suite: Suite) -> None:
    """Two groups of hosts run at the same time; the cluster only beside tests without hosts."""
    times, output = side_by_side(suite, BESIDE, HALE_LAB_BESIDE_CLUSTER="")
    cluster, apply, faults, engine = (times[g] for g in ("cluster", "apply", "faults", "engine"))
    assert engine[0] < cluster[1], "the second worker has work beside the cluster"
    assert cluster[1] <= apply[0]
    assert cluster[1] <= faults[0]
    assert apply[0] < faults[1], "two labs side by side"
    assert faults[0] < apply[1]
    stretches = output.partition("time of each worker")[2].partition("\n=")[0].splitlines()[1:]
    assert [line.split()[0] for line in stretches] == sorted(line.split()[0] for line in stretches)
    assert {line.split()[5].rstrip(",") for line in stretches} == set(BESIDE)


def test_a_test_on_the_lab_keeps_how_long_it_waited(suite: Suite) -> None:
    test = """
def test_it(host, request):
    assert dict(request.node.user_properties)["waited"] >= 0
"""
    assert suite.run(test, *SIDE_BY_SIDE)[0] == 0


def test_tests_of_a_file_on_the_lab_stay_together(suite: Suite) -> None:
    """Both workers take files, and no file has tests on hosts in both, or its hosts twice."""
    log = suite.folder / "made"
    for group in ("connection", "drill", "engine"):
        (suite.folder / group).mkdir()
        test = f"""
import os, time
from pathlib import Path
import pytest

def test_plain(): pass

@pytest.fixture(scope="module")
def made():
    with Path({str(log)!r}).open("a") as log:
        log.write("{group} " + os.environ["PYTEST_XDIST_WORKER"] + "\\n")

@pytest.mark.lab
@pytest.mark.parametrize("number", range(6))
def test_it(made, number): time.sleep(0.3)
"""
        (suite.folder / group / f"test_{group}.py").write_text(test)
    status, output = suite.run("", *SIDE_BY_SIDE)
    assert status == 0, output
    files, workers = zip(*map(str.split, log.read_text().splitlines()), strict=True)
    assert sorted(files) == ["connection", "drill", "engine"]
    assert set(workers) == {"gw0", "gw1"}


def test_what_one_worker_takes_as_a_whole_comes_before_other_tests_on_the_lab(suite: Suite) -> None:
    """The tests that are left for both workers at the end are short."""
    order = suite.folder / "turns"
    for group in ("apply", "connection", "engine", "stranger"):
        (suite.folder / group).mkdir()
        marker = "" if group == "engine" else "@pytest.mark.lab\n"
        test = TURN.format(group=group, marker=marker, log=str(order), beside="")
        (suite.folder / group / f"test_{group}.py").write_text(test)
    status, output = suite.run("")
    assert status == 0, output
    groups = dict.fromkeys(line.split()[0] for line in order.read_text().splitlines())
    assert list(groups) == ["stranger", "engine", "apply", "connection"]


@EVERY_WORKER
def test_each_group_has_its_time(suite: Suite, options: tuple[str, ...]) -> None:
    other = suite.folder / "other"
    other.mkdir()
    (other / "test_slow.py").write_text(
        "import time\ndef test_it(): time.sleep(3)\ndef test_two(): pass\n"
    )
    status, output = suite.run("\ndef test_quick(): pass\n", *options)
    assert status == 0
    lines = output.splitlines()
    at = next(n for n, line in enumerate(lines) if "time of each group" in line)
    groups = [line.split() for line in lines[at + 1 : at + 4]]
    assert [(g[2], g[4]) for g in groups[:2]] == [("2", "other"), ("1", "group")]
    assert 3 <= float(groups[0][0]) < 300
    assert groups[2][2] == "3"
    assert "3 passed" in lines[-1], "pytest's own summary stays last"
