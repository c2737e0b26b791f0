"""What the commands of lab.py may be told. It is asked before anything is installed: standard library only."""

import argparse
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent

# Of the options of JupyterLab and pytest the usual ones; the others go behind a bare --.
TAKES_VALUE = {
    "lab": "--app-dir --browser --certfile --client-ca --config --ip --keyfile --log-level --notebook-dir --port"
    " --port-retries",
    "test": "-k -m -n -p -r -o -W --tb --maxfail --durations --dist --ignore --deselect --capture --cov --cov-report"
    " --junit-xml --basetemp --keep-executed",
    "bench": "--rounds",
    "wheelhouse": "--out",
}
FLAGS = {
    "lab": "--originals --allow-root --autoreload --debug --no-browser --no-script --show-config --version -y",
    "test": "--all --timings -x --exitfirst -q --quiet -v --verbose -s -l --showlocals --lf --last-failed --ff"
    " --failed-first --nf --sw --stepwise --co --collect-only --pdb --trace --cache-clear --doctest-modules --nbval"
    " --nbval-lax --setup-show --strict-markers",
    "refresh": "--timings",
    "bench": "--quick",
    "teach": "--committed",
}
NUMERIC = ("--port", "--port-retries", "--rounds", "--maxfail", "--durations")
BEHIND_BARE = {"lab": "JupyterLab", "test": "pytest"}


class Parser(argparse.ArgumentParser):
    """Says what is wrong instead of ending the program."""

    def error(self, message):
        raise ValueError(f"{message.rstrip('.')}.")


def check(command, words):
    """Raise ValueError if a command may not be told these words; it says which and what is allowed."""
    try:
        _check(command, words)
    except ValueError as wrong:
        raise ValueError(f"{command}: {wrong}") from None


def _check(command, words):
    given = words[: words.index("--")] if "--" in words else words
    if command not in BEHIND_BARE and "--" in words:
        raise ValueError("nothing goes behind -- here.")
    if command == "lab":  # any setting of JupyterLab, such as --ServerApp.token=x
        given = [word for word in given if not (word.startswith("--") and "." in word.split("=")[0] and "=" in word)]
    parser = Parser(add_help=False, allow_abbrev=False)
    for option in TAKES_VALUE.get(command, "").split():
        parser.add_argument(option, action="append", type=int if option in NUMERIC else None)
    for option in FLAGS.get(command, "").split():
        parser.add_argument(option, action="store_true")
    parser.add_argument("words", nargs="*")
    found, unknown = parser.parse_known_intermixed_args(given)
    if unknown:
        knows = BEHIND_BARE.get(command)
        bare = f" What only {knows} knows goes behind a bare --." if knows else ""
        raise ValueError(f"there is no option {unknown[0]!r}.{bare}")
    for word in found.words:
        _check_word(command, word)
    if command == "lab" and len(found.words) > 1:
        raise ValueError(f"it opens one file or folder; {len(found.words)} are named.")
    if command == "bench" and min(found.rounds or [3]) < 3:
        raise ValueError("--rounds must be 3 or more.")
    if command == "test" and (found.all or found.timings) and set(words) - {"--all", "--timings"}:
        raise ValueError("--all and --timings are for the whole run; nothing else goes with them.")


def _check_word(command, word):
    """Look at a word that is no option."""
    if command in ("refresh", "teach"):
        there = sorted(path.stem for path in ROOT.glob("notebooks/[0-9][0-9]*.ipynb"))
        if pathlib.Path(word).name.removesuffix(".ipynb") not in there:
            raise ValueError(f"there is no notebook {word!r}; there are {', '.join(there)}.")
    elif command in BEHIND_BARE:
        path = pathlib.PurePath(word.split("::")[0] if command == "test" else word)
        places = [path]
        if path.parts[:1] == ("study",):  # a copy that will be made
            places.append(pathlib.PurePath("notebooks", *path.parts[1:]))
        if not word or not any((ROOT / place).exists() for place in places):
            raise ValueError(f"there is no file or folder {word!r}.")
    else:
        raise ValueError(f"it takes no {word!r}.")
