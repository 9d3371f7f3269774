"""The lint of blanks goes red for what knows Unicode's white space, and only for that."""

import pytest

from lint import blanks


@pytest.mark.parametrize(
    ("source", "instead"),
    [
        ("x = line.split()", "split_words"),
        ("x = line.split(None, 1)", "split_words"),
        ("x = line.rsplit(maxsplit=4)", "split_words"),
        ("x = line.strip()", "strip(BLANKS)"),
        ("x = f'{line.rstrip()}'", "rstrip(BLANKS)"),
        ("x = text.splitlines()", "split_lines"),
        ("x = list(filter(str.strip, lines))", "strip(BLANKS)"),
        ("x = [c for c in text if c.isspace()]", "BLANKS"),
        ("x = text.isdigit()", "is_decimal"),
        (r"x = re.match(r'\s*a', line)", "re.ASCII"),
        (r"x = re.compile(rf'{y}\W')", "re.ASCII"),
        (r"x = re.sub(r'\d', '', line, flags=re.M)", "re.ASCII"),
        ("x = re.compile('k8s', re.IGNORECASE)", "re.ASCII"),
    ],
)
def test_what_knows_unicode_is_found(source: str, instead: str) -> None:
    ((line, what),) = blanks.of_unicode(f"\n{source}")
    assert line == 2
    assert instead in what


@pytest.mark.parametrize(
    "source",
    [
        "x = line.split(',')",
        "x = line.strip(BLANKS)",
        "x = line.split('\\n', 1)",
        "x = split_words(line)",
        r"x = re.match(r'\s*a', line, re.ASCII)",
        r"x = re.compile(r'\d', re.M | re.A)",
        "x = re.match('[0-9]+', line)",
        "x = re.split(',', line)",
    ],
)
def test_what_says_where_is_not(source: str) -> None:
    assert list(blanks.of_unicode(source)) == []


def test_no_reader_knows_unicode() -> None:
    assert blanks.main() == 0
