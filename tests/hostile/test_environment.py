"""An environment or an option that would change a verdict has no effect, or is refused."""

from pathlib import Path

import pytest
from _pytest.config import default_plugins, essential_plugins

from hale.paths import ROOT
from hale.pytest_plugin import argv, config
from tests.engine.pytest_cli import EVIDENCE, Done, typed

PLUGINS = {"PYTHONPATH": str(Path(__file__).parent / "plugins")}
# Those of pytest and its extensions that take most part in a run; the others are off together.
OTHER_PLUGINS = (
    "assertion",
    "capture",
    "hale.pytest_plugin.fastpath",
    "hale.pytest_plugin.options",
    "junitxml",
)
# Those that pytest has besides, also of its next versions, and those that it makes as it starts.
THE_REST = (
    *(
        name
        for name in default_plugins
        if name not in (*OTHER_PLUGINS, *argv.OF_PYTEST, *config.NEEDED_PLUGINS, *essential_plugins)
    ),
    "capturemanager",
    "hale",
    "legacypath-tmpdir",
    "logging-plugin",
    "platformdirs",
)


def without(*names: str) -> list[str]:
    """The options that switch these plugins off."""
    return [word for name in names for word in ("-p", f"no:{name}")]


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
        (without(*THE_REST), {}),
        (without("terminalreporter"), {}),
        (["-n2", *without("dsession")], {}),
        (["-n2", "-p", "shuffled"], PLUGINS),
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
        "the-rest",
        "terminalreporter",
        "dsession",
        "shuffled-workers",
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
    assert "INTERNALERROR" not in done.output
    assert done.code == usual.code == 1
    assert done.verdicts == usual.verdicts


@pytest.mark.parametrize(
    ("words", "more", "reason"),
    [
        (["-p", "rerunfailures", "--reruns=3"], {}, "--reruns: a row is judged once"),
        (["--reruns=3"], {}, "unrecognized arguments: --reruns=3"),
        ([], {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, "testinfra's plugin is not loaded"),
        ([], {"PYTEST_ADDOPTS": "-p no:session"}, "-p no:session: an audit needs it"),
        ([], {"PYTEST_ADDOPTS": "-p no:pytestconfig"}, "-p no:pytestconfig: an audit needs it"),
        (without("terminal"), {}, "-p no:terminal: an audit needs it"),
        (without("runner"), {}, "plugin runner cannot be disabled"),
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
        "configuration",
        "terminal",
        "essential",
        "no-argv",
        "no-plugin",
        *config.NEEDED_PLUGINS,
    ],
)
def test_it_is_refused(words: list[str], more: dict[str, str], reason: str, tmp_path: Path) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, *words, more=more)
    assert done.code == 4
    assert reason in done.output
    assert "INTERNALERROR" not in done.output
    assert done.folder is None


@pytest.mark.parametrize("words", [["-p", "no:pytestconfig"], ["-pno:pytestconfig", "-n2"]])
def test_pytest_without_its_configuration_judges_nothing(words: list[str], tmp_path: Path) -> None:
    """It ends in its own traceback before a plugin is loaded; no host is contacted."""
    done = typed(tmp_path / "r", *EVIDENCE, *words)
    assert done.code == 1
    assert "helpconfig.py" in done.output
    assert "hale" not in done.output.replace(str(ROOT), "")
    assert "INTERNALERROR" not in done.output
    assert done.folder is None


@pytest.mark.soak
@pytest.mark.parametrize("name", essential_plugins)
def test_pytest_keeps_each_plugin_that_is_essential(name: str, tmp_path: Path) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, *without(name))
    assert done.code == 4
    assert "Traceback" not in done.output
    assert done.folder is None


@pytest.mark.soak
@pytest.mark.parametrize("name", THE_REST)
def test_each_of_the_rest_alone(usual: Done, name: str, tmp_path: Path) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, *without(name))
    assert "INTERNALERROR" not in done.output
    assert done.code == usual.code
    assert done.verdicts == usual.verdicts


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--setup-only"], "INCOMPLETE: 202 cases selected but not judged"),
        (["-p", "uncounted"], " FAIL "),
    ],
    ids=["setup-only", "uncounted"],
)
def test_what_pytest_does_not_count_fails_all_the_same(
    words: list[str], message: str, tmp_path: Path
) -> None:
    done = typed(tmp_path / "r", *EVIDENCE, *words, more=PLUGINS)
    assert message in done.output
    assert done.code == 1


@pytest.mark.parametrize("hosts", ["all", "masters", "workers", "web1,!masters"])
def test_a_group_outside_the_tree_collects_nothing(hosts: str, tmp_path: Path) -> None:
    (tmp_path / "test_here.py").write_text("def test_here():\n    assert True\n")
    done = typed(tmp_path / "r", cwd=tmp_path, plain=[f"--hosts={hosts}"])
    assert done.code == 4
    assert f"--hosts={hosts} audits in Hale's tree" in done.output
