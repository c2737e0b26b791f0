"""The sides in C, built by every compiler this machine has."""

import ctypes
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FLAGS = ["-O3", "-march=native", "-std=c11", "-shared", "-fPIC"]


def built(folder, source, variants):
    """{compiler: {key: library}} of a source file beside this one; ``variants`` is {key: its -D options}."""
    found = {}
    for compiler in ("gcc", "clang"):
        path = shutil.which(compiler)
        if path is None:
            continue
        libraries = {}
        try:
            for number, (key, defines) in enumerate(variants.items()):
                target = folder / f"{pathlib.Path(source).stem}_{compiler}_{number}.so"
                subprocess.run([path, *FLAGS, *defines, "-o", target, HERE / source], check=True)
                libraries[key] = ctypes.CDLL(str(target))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{compiler} is left out: {error}")
            continue
        found[compiler] = libraries
    return found
