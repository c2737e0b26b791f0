"""The steps of the whole test run: what they run, how they differ, and that no failure is lost."""

import os
import pathlib
import sys

from tools import suite
from tools.notebooks import ROOT


def steps(everything=False):
    return [step for group in suite.steps(pathlib.Path("scratch"), everything, timings=False) for step in group]


def python(code):
    return suite.Step(code, [[sys.executable, "-c", code]], dict(os.environ))


def test_the_three_unit_runs_differ_in_mode_and_share_no_cache():
    environments = [step.environment for step in steps() if step.title.startswith("compiled code")]
    assert [env["MEMCG_LAB_TEST_MODE"] for env in environments] == ["jit", "nojit", "boundscheck"]
    assert [env.get("NUMBA_DISABLE_JIT") for env in environments] == [None, "1", None]
    assert [env.get("NUMBA_BOUNDSCHECK") for env in environments] == [None, None, "1"]
    assert len({env["NUMBA_CACHE_DIR"] for env in environments}) == 3


def test_every_test_stands_in_a_folder_that_a_step_runs():
    (rest,) = [step for step in steps() if step.title == "everything else"]
    run = {*suite.COMPILED, *rest.commands[0]}
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders
    assert folders <= run
    assert "memcg_lab" in run
    assert all((ROOT / path).exists() for path in suite.COMPILED)


def test_a_browser_is_asked_for_with_all_only_after_everything_else():
    assert [step.title for step in steps(everything=True)][:-1] == [step.title for step in steps()]
    last = steps(everything=True)[-1]
    assert {"tests/browser", "browser"} <= set(last.commands[0])
    commands = [command for step in steps(everything=True)[:-1] for command in step.commands]
    marks = [command[command.index("-m", 3) + 1] for command in commands if "-m" in command[3:]]
    assert len(marks) == 4  # three ways, and everything else
    assert all("not browser" in mark for mark in marks)


def test_every_step_runs_after_a_failure_and_the_summary_names_it(monkeypatch, capfd):
    bad, good, last = python("raise SystemExit(3)"), python("print('one')"), python("print('two')")
    monkeypatch.setattr(suite, "steps", lambda *options: [[bad], [good, last]])
    assert suite.main([]) == 1
    output = capfd.readouterr().out
    assert output.index("== print('one') ==") < output.index("one\n") < output.index("== print('two') ==")
    assert output.index("== print('two') ==") < output.index("two\n")
    assert output.endswith("Failed: raise SystemExit(3).\n")


def test_a_step_fails_with_whichever_of_its_commands_fails(monkeypatch, capfd):
    fail, work = python("raise SystemExit(3)").commands, python("print('after all')").commands
    both = suite.Step("both", fail + work, dict(os.environ))
    monkeypatch.setattr(suite, "steps", lambda *options: [[both]])
    assert suite.main(["--all", "--timings"]) == 1
    assert "after all" in capfd.readouterr().out


def test_any_other_argument_is_one_run_of_pytest(monkeypatch):
    called = []
    monkeypatch.setattr(suite.subprocess, "call", lambda command, **options: called.append(command) or 7)
    assert suite.main(["tests/once", "-k", "name"]) == 7
    assert called == [
        [sys.executable, "-m", "memcg_lab", "warmup"],
        [sys.executable, "-m", "pytest", "tests/once", "-k", "name"],
    ]
