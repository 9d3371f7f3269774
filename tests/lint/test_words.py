"""The lint of words goes red for a retired word, and for an allowance that is too large."""

import pytest

from lint import words

NONE: dict[str, dict[str, int]] = {"words": {}, "classes": {}}


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
    assert (found.path, found.line, found.word, found.room) == ("hale/x/y.py", line, word, "hale/x")


@pytest.mark.parametrize(
    "source",
    [
        "# mend it anew",
        "options.told",  # a use: its definition is what the lint asks about
        "def skill(): ...",
        'print("recommended, untold, still")',
    ],
)
def test_what_is_no_retired_word_is_left_alone(source: str) -> None:
    assert list(words.findings_of_python("hale/x/y.py", source)) == []


def test_comments_of_text_files_are_left_alone_but_not_headings() -> None:
    assert list(words.findings_of_lines("a/b.sh", "# mend\ntrue")) == []
    assert [f.line for f in words.findings_of_lines("a/b.sh", "# x\necho mend")] == [2]
    assert [f.line for f in words.findings_of_lines("a/b.md", "# Mend it")] == [1]


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("tasks.py", "tasks.py"),
        ("facts/swap.py", "facts"),
        ("facts/parsers/pam.py", "facts/parsers"),
        ("hale/report/templates/a.jinja2", "hale/report"),
    ],
)
def test_the_room_of_a_file(path: str, room: str) -> None:
    assert words.Finding(path, 1, "mend", "fix").room == room


def test_a_room_has_as_many_as_it_is_allowed_and_neither_more_nor_fewer() -> None:
    found = {"facts": [words.Finding("facts/a.py", 3, "mend", "fix")]}
    assert words.problems(found, {}, NONE) == [
        "facts/a.py:3: 'mend'; better: fix",
        "facts: 1 retired words, 0 allowed; see docs/glossary.md",
    ]
    assert words.problems(found, {}, {"words": {"facts": 1}, "classes": {}}) == []
    assert words.problems(found, {}, {"words": {"facts": 2}, "classes": {}}) == [
        "facts: 1 retired words, 2 allowed; `make format` lowers it"
    ]
    assert words.problems({}, {}, {"words": {"facts": 1}, "classes": {}}) == [
        "facts: 0 retired words, 1 allowed; `make format` lowers it"
    ]


def test_a_class_name_means_one_thing() -> None:
    classes = {"Run": ["a.py:1", "b.py:2"], "Case": ["c.py:1"]}
    assert words.problems({}, classes, NONE) == ["class Run is defined 2 times: a.py:1, b.py:2"]
    assert words.problems({}, classes, {"words": {}, "classes": {"Run": 2}}) == []
    assert words.problems({}, {"Run": ["a.py:1"]}, {"words": {}, "classes": {"Run": 2}}) == [
        "class Run: 2 definitions allowed; `make format` lowers it"
    ]
    assert list(words.class_names("a.py", "class Run: ...\nclass _Own: ...")) == [("Run", "a.py:1")]
