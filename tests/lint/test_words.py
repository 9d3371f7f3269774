"""The lint of words fails for a retired word, and for a class name with two definitions."""

from pathlib import Path

import pytest

from lint import words


@pytest.mark.parametrize(
    ("source", "line", "word"),
    [
        ("class Asked: ...", 1, "Asked"),
        ("def mend_all(): ...", 1, "mend_all"),
        ("async def anew(): ...", 1, "anew"),
        ("def f(told): ...", 1, "told"),
        ("\nhostsSeen = 1", 2, "hostsSeen"),
        ("self.ill = 1", 1, "ill"),
        ("from x import y as whole", 1, "whole"),
        ('"""Look.\n\nThen mend it."""', 3, "mend"),
        ('print("nobody answers")', 1, "nobody"),
        ('print(f"{x} is told")', 1, "told"),
        ('help = "what is red"', 1, "what is red"),
    ],
)
def test_a_retired_word_of_a_module_is_found(source: str, line: int, word: str) -> None:
    (found,) = words.findings_of_python("hale/x/y.py", source)
    assert (found.path, found.line, found.word) == ("hale/x/y.py", line, word)


@pytest.mark.parametrize(
    "source",
    [
        "# mend it anew",
        "options.told",  # a use: its definition is what the lint asks about
        "def skill(): ...",
        'print("recommended, untold, still")',
    ],
)
def test_other_words_pass(source: str) -> None:
    assert list(words.findings_of_python("hale/x/y.py", source)) == []


def test_comments_of_text_files_pass_but_not_headings() -> None:
    assert list(words.findings_of_lines("a/b.sh", "# mend\ntrue")) == []
    assert [f.line for f in words.findings_of_lines("a/b.sh", "# x\necho mend")] == [2]
    assert [f.line for f in words.findings_of_lines("a/b.sh", 'echo "$said"')] == [1]
    assert [f.line for f in words.findings_of_lines("a/b.md", "# Mend it")] == [1]


def test_a_saved_name_stays() -> None:
    source = 'class A(Struct, tag="begin", rename={"notes": "told", "%s": "x"}): ...'
    assert list(words.findings_of_python("a.py", source % "x")) == []
    # The new name is one that a reader of the code sees.
    assert [f.word for f in words.findings_of_python("a.py", source % "told")] == ["told"]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree without a retired word. The glossary lists them, in its last section."""
    for name in words.SOURCES:
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).write_text("")
    (tmp_path / "docs/glossary.md").write_text("## A\n## Retired words\n| mend | fix |\n")
    return tmp_path


def test_a_tree_without_any_passes(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert words.main(tree) == 0
    assert capsys.readouterr().out == "Words: as the glossary says.\n"


@pytest.mark.parametrize(
    "path", ["README.md", "docs/a.md", "docs/glossary.md", "facts/swap.py", "hale/a/b.sh"]
)
def test_each_finding_is_printed_and_fails(
    tree: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / path).parent.mkdir(parents=True, exist_ok=True)
    (tree / path).write_text("\nmend = 1\n")
    assert words.main(tree) == 1
    first, count = capsys.readouterr().out.splitlines()
    assert first == f"{path}:2: 'mend'; better: fix, remediate"
    assert count == "1 retired words; see docs/glossary.md"


def test_a_class_name_means_one_thing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes = {"Run": ["a.py:1", "b.py:2"], "Case": ["c.py:1"]}
    assert words.repeated_classes(classes) == ["class Run is defined 2 times: a.py:1, b.py:2"]
    assert list(words.class_names("a.py", "class Run: ...\nclass _Own: ...")) == [("Run", "a.py:1")]
    for name in ("hale", "facts"):
        (tree / name / "a.py").write_text("class Run: ...")
    assert words.main(tree) == 1
    assert "class Run is defined 2 times" in capsys.readouterr().out
