"""Everything in data/ is listed in data/README.md with its sha256, and nothing else is."""

import hashlib
import pathlib
import re

DATA = pathlib.Path(__file__).resolve().parents[2] / "data"
ROW = re.compile(r"^\| \[([^\]]+)\]\(([^)]+)\) \|.*\| `([0-9a-f]{64})` \|$", re.MULTILINE)


def listed():
    return {name: digest for label, name, digest in ROW.findall((DATA / "README.md").read_text(encoding="utf-8"))}


def content(path):
    data = path.read_bytes()
    return data if path.suffix in (".xz", ".gz") else data.replace(b"\r\n", b"\n")


def present():
    """The files, README.md apart; newlines of text as git keeps them, so that a checkout on Windows agrees."""
    files = [path for path in DATA.rglob("*") if path.is_file() and path.name != "README.md"]
    return {path.relative_to(DATA).as_posix(): hashlib.sha256(content(path)).hexdigest() for path in files}


def test_readme_lists_every_data_file_with_its_sha256():
    assert listed() == present()


def test_the_listings_are_those_of_the_message():
    message = (DATA / "patch" / "475d048-message.txt").read_text(encoding="utf-8")
    for name in ("before.txt", "after.txt"):
        rows = [line.strip() for line in (DATA / "perf" / name).read_text(encoding="utf-8").splitlines()]
        rows = [line for line in rows if "%" in line and not line.startswith("#")]
        assert len(rows) >= 14
        assert "\n".join(rows) in "\n".join(line.strip() for line in message.splitlines())
