"""An environment or an option that would change a verdict has no effect, or is refused."""

from pathlib import Path

import pytest

from hale.pytest_plugin import config
from tests.engine.pytest_cli import EVIDENCE, Done, typed

PLUGINS = {"PYTHONPATH": str(Path(__file__).parent / "plugins")}
# Those of pytest and its extensions whose hooks take part in a run.
OTHER_PLUGINS = (
    "assertion",
    "cacheprovider",
    "capture",
    "hale.pytest_plugin.fastpath",
    "hale.pytest_plugin.options",
    "junitxml",
    "logging",
    "reports",
    "skipping",
    "subtests",
    "threadexception",
    "unittest",
    "warnings",
)


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return typed(tmp_path_factory.mktemp("usual") / "r", *EVIDENCE)


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["-p", "no:metadata"], {}),
        (["-p", "no:hale-junit"], {}),
        (["-p", "no:html"], {}),
        (["-p", "no:xdist"], {}),
        *((["-p", f"no:{name}"], {}) for name in OTHER_PLUGINS),
        (["-p", "shuffled"], PLUGINS),
        ([], {"LC_ALL": "C", "PYTHONUTF8": "0"}),
        ([], {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        ([], {"PYTHONOPTIMIZE": "2", "PYTEST_ADDOPTS": "--assert=plain"}),
    ],
    ids=[
        "metadata",
        "junit",
        "html",
        "xdist",
        *OTHER_PLUGINS,
        "shuffled",
        "C",
        "C-not-coerced",
        "optimized",
    ],
)
def test_the_verdicts_are_the_same(
    usual: Done, words: list[str], more: dict[str, str], tmp_path: Path
) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, *words, more=more)
    assert "INTERNALERROR" not in done.said
    assert done.code == usual.code == 1
    assert done.verdicts == usual.verdicts


@pytest.mark.parametrize(
    ("words", "more", "reason"),
    [
        (["-p", "rerunfailures", "--reruns=3"], {}, "--reruns: a row is judged once"),
        (["--reruns=3"], {}, "unrecognized arguments: --reruns=3"),
        ([], {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, "testinfra's plugin is not loaded"),
        ([], {"PYTEST_ADDOPTS": "-p no:session"}, "-p no:session: an audit needs it"),
        (["-p", "no:hale", "-p", "no:session"], {}, "-p no:session: an audit needs it"),
        (["-p", "no:hale.pytest_plugin.plugin"], {}, "nothing is audited without it"),
        *(
            (["-p", f"no:{name}"], {}, f"-p no:{name}: an audit needs it")
            for name in config.NEEDED_PLUGINS
        ),
    ],
    ids=[
        "reruns",
        "reruns-off",
        "autoload",
        "addopts",
        "no-argv",
        "no-plugin",
        *config.NEEDED_PLUGINS,
    ],
)
def test_it_is_refused(words: list[str], more: dict[str, str], reason: str, tmp_path: Path) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, *words, more=more)
    assert done.code == 4
    assert reason in done.said
    assert "INTERNALERROR" not in done.said
    assert done.folder is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--setup-only"], "INCOMPLETE: 202 cases selected but not judged"),
        (["-p", "uncounted"], " FAIL "),
    ],
    ids=["setup-only", "uncounted"],
)
def test_what_pytest_does_not_count_fails_all_the_same(
    words: list[str], said: str, tmp_path: Path
) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, *words, more=PLUGINS)
    assert said in done.said
    assert done.code == 1


@pytest.mark.parametrize("hosts", ["all", "masters", "workers", "web1,!masters"])
def test_a_group_outside_the_tree_collects_nothing(hosts: str, tmp_path: Path) -> None:
    (tmp_path / "test_here.py").write_text("def test_here():\n    assert True\n")
    done = typed(tmp_path / "r", cwd=tmp_path, plain=[f"--hosts={hosts}"])
    assert done.code == 4
    assert f"--hosts={hosts} audits in Hale's tree" in done.said
