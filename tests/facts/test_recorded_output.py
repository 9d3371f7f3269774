"""What a case's recorded output is made of: a base and the hunks of `diff -u`."""

import difflib
from pathlib import Path

import pytest

from tests.facts.recorded_output import output_of
from tests.facts.test_cases import HERE, GivenOutput, loaded

BASE = "a\nb\nc\nd\ne\nf\ng\nh\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.txt"
    path.write_text(BASE)
    return path


@pytest.mark.parametrize("context", [0, 1, 3])
@pytest.mark.parametrize(
    "output",
    [
        BASE,
        "",
        "a\n",
        "new\n" + BASE,
        BASE + "new\n",
        "a\nB\nc\nd\ne\nf\nG\nh\n",
        "b\nc\nd\n\nf\nh\n",
    ],
)
def test_the_differences_give_the_output(base: Path, output: str, context: int) -> None:
    lines = BASE.splitlines(), output.splitlines()
    hunks = [f"{x}\n" for x in difflib.unified_diff(*lines, n=context, lineterm="")][2:]
    assert output_of(base, "".join(hunks)) == output


@pytest.mark.parametrize(
    ("hunks", "error"),
    [
        ("@@ -2,1 +2,1 @@\n-x\n+y\n", "line 2 is not 'x'"),
        ("@@ -2,2 +2,1 @@\n b\n-x\n", "line 3 is not 'x'"),
        ("@@ -8,1 +8,0 @@\n-h\n-i\n", "line 9 is not 'i'"),
        ("@@ -20,1 +2,1 @@\n+y\n", "line 1 of the differences"),
        ("@@ -5,1 +5,0 @@\n-e\n@@ -2,1 +2,0 @@\n-b\n", "line 3 of the differences"),
        ("@@ -2,1 +2,1 @@\nb\n", "line 2 of the differences: 'b'"),
    ],
)
def test_differences_that_do_not_fit(base: Path, hunks: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        output_of(base, hunks)


def test_a_base_that_no_case_uses_is_a_mistake() -> None:
    for base in HERE.glob("*/recorded/*.txt"):
        cases = base.parent.parent.glob("*.toml")
        named = f'base = "{base.relative_to(HERE)}"'
        assert any(named in case.read_text() for case in cases), base.name


def test_a_case_has_its_base() -> None:
    case = HERE / "ingress" / "class-is-missing.toml"
    given = loaded(case.read_bytes())
    printed = given.hosts["k8s-master-01"].outputs["ingress"].stdout
    assert printed.startswith("at 10.208.1.191:6443\nsection workloads 0 \nitem\n")


@pytest.mark.parametrize(
    ("base", "stdout", "diff"), [("a.txt", "a\n", ""), ("", "", "@@ -1 +1 @@\n")]
)
def test_an_output_has_a_base_or_a_text(base: str, stdout: str, diff: str) -> None:
    with pytest.raises(ValueError, match="base"):
        GivenOutput(stdout=stdout, base=base, diff=diff)
