"""The command line: last line, exit status, and one clear line for every bad file."""

import functools
import gzip
import json
import os
import subprocess
import sys

import pytest

from lab_helpers import GOLDEN, ROOT
from memcg_lab.__main__ import main

STORIES = GOLDEN / "stories_post.jsonl.gz"


def conformance(capsys, *files, policy="v4.14"):
    """(exit status, lines printed, lines complained)."""
    status = main(["conformance", *map(str, files), "--policy", policy])
    captured = capsys.readouterr()
    return status, captured.out.splitlines(), captured.err.splitlines()


@functools.cache
def one_story():
    """The lines of one scenario of the stories."""
    found = []
    with gzip.open(STORIES, "rt") as lines:
        for line in lines:
            if '"config"' in line:
                if found:
                    return found
                wanted = '"boundary_32_33"' in line
            if wanted:
                found.append(line)
    raise AssertionError("boundary_32_33 is missing")


@pytest.fixture
def rows():
    """One scenario as JSON rows."""
    return [json.loads(line) for line in one_story()]


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# --- the answer ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("variant", "policy", "files"),
    [
        ("pre", "v4.13", ["stories"]),
        ("post", "v4.14", ["stories"]),
        pytest.param("post", "v4.14", ["random", "stories"], marks=pytest.mark.once),
    ],
)
def test_the_last_line_counts_and_the_status_is_0(capsys, variant, policy, files):
    paths = [GOLDEN / f"{name}_{variant}.jsonl.gz" for name in files]
    with_random = "random" in files
    status, out, err = conformance(capsys, *paths, policy=policy)
    scenarios, ops = 22 + 14 * with_random, 3840 + 7000 * with_random
    assert (status, err, len(out)) == (0, [], 1)
    words = out[0].split()
    assert words[::2] == ["scenarios", "ops", "fields", "mismatches"]
    assert (int(words[1]), int(words[3]), int(words[7])) == (scenarios, ops, 0)
    assert int(words[5]) > 17 * ops


def test_plain_json_lines_are_read_too(capsys, tmp_path, rows):
    status, out, _ = conformance(capsys, written(tmp_path / "plain.jsonl", rows))
    assert (status, out[-1].split()[:4]) == (0, ["scenarios", "1", "ops", str(len(rows) - 1)])


def test_the_wrong_policy_is_status_1(capsys):
    status, out, err = conformance(capsys, STORIES, policy="v4.13")
    assert (status, err) == (1, [])
    assert int(out[-1].split()[-1]) == len(out) - 1 > 100


def test_one_wrong_field_is_named_with_what_was_expected_and_got(capsys, tmp_path, rows):
    right = rows[4]["css"]
    rows[4]["css"] = [0, 99]
    status, out, _ = conformance(capsys, written(tmp_path / "tampered.jsonl", rows))
    assert status == 1
    assert out[0] == f"boundary_32_33, op 3, css: expected [0, 99], got {right}"
    assert out[1].endswith("mismatches 1")


@pytest.mark.once
def test_as_a_process_it_answers_the_same():
    done = subprocess.run(
        [sys.executable, "-m", "memcg_lab", "conformance", str(STORIES), "--policy", "v4.14"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("scenarios 22 ops 3840 fields ")
    assert done.stdout.splitlines()[-1].endswith(" mismatches 0")


# --- bad files -------------------------------------------------------------------------------------------------------
def make(kind, tmp_path, rows):
    """A file that is not what it should be, and what the complaint must hold."""
    path = tmp_path / "bad.jsonl"
    zipped = tmp_path / "bad.jsonl.gz"
    whole = STORIES.read_bytes()
    match kind:
        case "missing":
            return path, "no such file"
        case "a folder":
            return tmp_path, "cannot be read"
        case "empty":
            path.write_text("")
            return path, "no scenario in it"
        case "empty gzip":
            zipped.write_bytes(gzip.compress(b""))
            return zipped, "no scenario in it"
        case "no bytes, called gzip":
            zipped.write_bytes(b"")
            return zipped, "bad.jsonl.gz"
        case "truncated gzip":
            zipped.write_bytes(whole[: len(whole) // 2])
            return zipped, "line"
        case "gzip with damaged bytes":
            zipped.write_bytes(whole[:2000] + b"\xff" * 100 + whole[2100:])
            return zipped, "line"
        case "gzip of garbage":
            zipped.write_bytes(gzip.compress(bytes(range(256))))
            return zipped, "bad.jsonl.gz: not text (UTF-8)"
        case "plain text called gzip":
            zipped.write_text("hello")
            return zipped, "cannot be read"
        case "gzip called plain":
            path.write_bytes(whole)
            return path, "not text (UTF-8)"
        case "text":
            path.write_text("hello\n")
            return path, "line 1: not JSON"
        case "cut off within a line":
            text = "".join(json.dumps(row) + "\n" for row in rows)
            path.write_text(text[: len(text) - 40])
            return path, f"line {len(rows)}: not JSON"
        case "foreign JSON":
            path.write_text('{"name": "Ada", "born": 1815}\n')
            return path, "line 1: an operation stands before the first scenario"
        case "a JSON list":
            path.write_text("[1, 2]\n")
            return path, "line 1"
        case "a JSON number":
            path.write_text("5\n")
            return path, "line 1: not a golden line"
        case "nested too deep":
            path.write_text("[" * 100_000)
            return path, "line 1"
        case "an operation first":
            return written(path, rows[1:]), "line 1: an operation stands before the first scenario"
        case "a config without batch":
            del rows[0]["config"]["batch"]
            return written(path, rows), "line 1: not a golden line (KeyError: 'batch')"
        case "an unknown operation":
            rows[2]["op"] = "free_all"
            return written(path, rows), 'line 3: operation "free_all" does not exist'
        case "an unknown context":
            rows[2]["ctx"] = "irq"
            return written(path, rows), 'line 3: ctx is "irq"'
        case "a negative cpu":
            rows[2]["cpu"] = -1
            return written(path, rows), "line 3: cpu is -1"
        case "pages that are no number":
            rows[2]["nr"] = None
            return written(path, rows), "line 3: nr is None"
        case "a field missing":
            del rows[2]["memcg"]
            return written(path, rows), "line 3: not a golden line (KeyError: 'memcg')"
        case "a cycle in the tree":
            rows[0]["config"]["parent"] = [-1, 1]
            return written(path, rows), "a parent stands before its children"
        case "a tree that is a number":
            rows[0]["config"]["parent"] = 5
            return written(path, rows), ""
        case "limits that are a number":
            rows[0]["config"]["limit"] = 5
            return written(path, rows), ""
        case "no cpus":
            rows[0]["config"]["ncpu"] = 0
            return written(path, rows), "cpus is 0"
        case "an impossible batch":
            rows[0]["config"]["batch"] = 0
            return written(path, rows), "batch is 0"
    raise AssertionError(kind)


KINDS = [
    "missing",
    "a folder",
    "empty",
    "empty gzip",
    "no bytes, called gzip",
    "truncated gzip",
    "gzip with damaged bytes",
    "gzip of garbage",
    "plain text called gzip",
    "gzip called plain",
    "text",
    "cut off within a line",
    "foreign JSON",
    "a JSON list",
    "a JSON number",
    "nested too deep",
    "an operation first",
    "a config without batch",
    "an unknown operation",
    "an unknown context",
    "a negative cpu",
    "pages that are no number",
    "a field missing",
    "a cycle in the tree",
    "a tree that is a number",
    "limits that are a number",
    "no cpus",
    "an impossible batch",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_file_is_status_2_and_one_clear_line(capsys, tmp_path, rows, kind):
    path, says = make(kind, tmp_path, rows)
    status, out, err = conformance(capsys, path)
    assert (status, out, len(err)) == (2, [], 1), err
    assert err[0].startswith("memcg_lab conformance: ")
    assert says in err[0]
    assert str(path) in err[0]
    assert "Traceback" not in err[0]


def test_a_bad_file_after_a_good_one_is_status_2(capsys, tmp_path):
    status, out, err = conformance(capsys, STORIES, tmp_path / "missing.jsonl")
    assert (status, out) == (2, [])
    assert "missing.jsonl: no such file" in err[0]


@pytest.mark.once
def test_as_a_process_it_complains_without_a_traceback(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "memcg_lab", "conformance", str(tmp_path / "none"), "--policy", "v4.14"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [f"memcg_lab conformance: {tmp_path / 'none'}: no such file."]


# --- called wrongly --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["fly"], "fly"),
        (["conformance", "--policy", "v4.14"], "FILE"),
        (["conformance", "file"], "--policy"),
        (["conformance", "file", "--policy", "v4.15"], "v4.15"),
    ],
)
def test_a_wrong_call_is_status_2_and_says_what_is_missing(capsys, arguments, says):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    assert "conformance" in capsys.readouterr().out


# --- every command ends in one line ----------------------------------------------------------------------------------
COMMANDS = {
    "conformance": ["conformance", "x", "--policy", "v4.13"],
    "profile": ["profile", "x", "y"],
    "kernel_lab": ["kernel-lab"],
    "measure": ["measure", "--out", "x"],
    "warmup": ["warmup"],
    "trace_check": ["trace", "check", "x", "--policy", "v4.13"],
    "trace_what_if": ["trace", "what-if", "x", "--policies", "v4.13"],
}
ENDS = {
    "an interrupt": (KeyboardInterrupt(), 130, "interrupted."),
    "a long name": (OSError(36, "File name too long", "x" * 300), 2, "x" * 300 + ": File name too long."),
    "no memory": (MemoryError(), 2, "there is not enough memory for this."),
    "escapes": (ValueError("\x1b]0;owned\x07 in line 1\n\x9b2J"), 2, r"\x1b]0;owned\x07 in line 1\n\x9b2J"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("command", COMMANDS)
def test_whatever_ends_a_command_is_one_line_that_a_terminal_may_print(command, end, monkeypatch, capsys):
    error, status, says = ENDS[end]

    def run(arguments):
        raise error

    monkeypatch.setattr("memcg_lab.__main__." + command, run)
    assert main(COMMANDS[command]) == status
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"memcg_lab {COMMANDS[command][0]}: {says}\n")


def program(*arguments, **options):
    """The command line as a process of its own."""
    command = [sys.executable, "-m", "memcg_lab", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.once
def test_a_reader_that_has_enough_ends_it_without_a_word():
    with program("conformance", STORIES, "--policy", "v4.13") as process:
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read().splitlines()
    assert [line for line in said if b": compiling " not in line] == []
    assert process.returncode == 141


@pytest.mark.once
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a shell and /dev/full")
def test_an_output_that_is_closed_or_full_is_no_traceback(tmp_path):
    (tmp_path / "a.txt").write_text("a;b 1\n")
    for to, status, said in (
        (">&-", 0, b""),
        ("2>&-", 0, b""),
        ("> /dev/full", 2, b"a file: No space left on device.\n"),
    ):
        command = f'"{sys.executable}" -m memcg_lab profile "$0" "$0" {to}'
        done = subprocess.run(["sh", "-c", command, tmp_path / "a.txt"], cwd=ROOT, capture_output=True)
        assert done.returncode == status
        assert done.stderr.endswith(said)
        assert b"Traceback" not in done.stderr


def test_a_terminal_of_plain_ascii_gets_what_it_can_print(tmp_path, rows):
    rows[0]["config"]["name"] = "naïve …\x1b[31m"
    path = written(tmp_path / "a.jsonl", rows)
    env = {**os.environ, "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"}
    with program("conformance", path, "--policy", "v4.13", env=env) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (1, b"")
    assert out.startswith(rb"na\xefve \u2026\x1b[31m, op ")


@pytest.mark.parametrize("name", ["x" * 300, "a\nb", "\x1b]0;owned\x07", "gone"])
def test_a_name_that_is_no_file_is_one_line(name, capsys, tmp_path):
    for command in (
        ["conformance", name, "--policy", "v4.13"],
        ["profile", name, name],
        ["trace", "check", name, "--policy", "v4.13"],
        ["trace", "what-if", name, "--policies", "v4.13"],
        ["measure", "--out", str(tmp_path / "none" / name)],
    ):
        assert main(command) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1
        assert "\x1b" not in told.err
