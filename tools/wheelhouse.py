"""Everything that the set-up fetches, in a folder to take into a room without network: build/wheelhouse/.

python -m tools.wheelhouse [--out FOLDER]

It is for this platform and this version of Python. For another, run it there.
"""

import pathlib
import platform
import subprocess
import sys
import sysconfig
import tomllib

from tools import notebooks

NOTE = """\
Wheels for memcg-lab, for {platform} with Python {python}: {wheels} files, {mib} MiB.

In a room without network, in a copy of the collection:

    python3 lab.py --wheelhouse {folder}

or, where this folder lies elsewhere, with its path. The set-up then asks no index. On another platform, or with another
version of Python, other wheels are needed: run "python3 lab.py wheelhouse" on such a machine while it has network, and
carry its folder.
"""


def wanted(root):
    """What a set-up installs, and what it installs with."""
    told = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = told["project"]
    return [
        *project["dependencies"],
        *project["optional-dependencies"]["test"],
        *told["build-system"]["requires"],
        "pip",
        "uv",
    ]


def fetch(root, out=None):
    """Fetch the wheels. Returns an exit status."""
    out = (out or root / "build" / "wheelhouse").resolve()
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "-q", "--only-binary=:all:"]
    command += ["-c", str(root / "constraints.txt"), "-d", str(out), *wanted(root)]
    status = subprocess.run(command, cwd=root, check=False).returncode
    if status:
        print("Not every wheel could be fetched; pip says above why.", file=sys.stderr)
        return status
    wheels = sorted(out.glob("*.whl"))
    note = NOTE.format(
        platform=sysconfig.get_platform(),
        python=platform.python_version().rpartition(".")[0],
        wheels=len(wheels),
        mib=sum(path.stat().st_size for path in wheels) >> 20,
        folder=out.relative_to(root).as_posix() if out.is_relative_to(root) else out,
    )
    (out / "README.txt").write_text(note, encoding="utf-8", newline="\n")
    print(note, end="")
    return 0


def main(argv):
    parser = notebooks.parser(__doc__)
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER", help="the folder (default: build/wheelhouse)")
    return notebooks.run(fetch, parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
