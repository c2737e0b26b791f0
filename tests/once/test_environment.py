"""The files that say what to install agree with each other, and hold on every system.

No conda was at hand: that conda can solve environment.yml is not proved here.
"""

import itertools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONDA_TO_PYPI = {"matplotlib-base": "matplotlib"}  # conda's matplotlib would bring Qt along

LINUX = {"sys_platform": "linux", "os_name": "posix", "platform_system": "Linux"}
MACOS = {"sys_platform": "darwin", "os_name": "posix", "platform_system": "Darwin"}
WINDOWS = {"sys_platform": "win32", "os_name": "nt", "platform_system": "Windows"}
SYSTEMS = {
    "Linux x86_64": LINUX | {"platform_machine": "x86_64"},
    "Linux arm64": LINUX | {"platform_machine": "aarch64"},
    "Mac arm64": MACOS | {"platform_machine": "arm64"},
    "Intel Mac": MACOS | {"platform_machine": "x86_64"},
    "Windows": WINDOWS | {"platform_machine": "AMD64"},
}
PYTHONS = ("3.11.4", "3.11.9", "3.12.3", "3.13.1", "3.14.0")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def project():
    return tomllib.loads(text("pyproject.toml"))["project"]


def marker_environment(system, python):
    return SYSTEMS[system] | {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def requirements(*extras, system="Linux x86_64", python="3.12.3"):
    """Return name -> specifier of the run-time requirements and of some extras."""
    lines = project()["dependencies"] + [line for extra in extras for line in project()["optional-dependencies"][extra]]
    environment = marker_environment(system, python)
    found = [r for r in map(Requirement, lines) if r.marker is None or r.marker.evaluate(environment)]
    assert len({r.name for r in found}) == len(found), "a package is required twice"
    return {canonicalize_name(r.name): r.specifier for r in found}


def constraint_lines():
    return [line for line in text("constraints.txt").splitlines() if line and not line.startswith("#")]


def pins(system, python):
    """Return name -> version that constraints.txt pins on one system."""
    environment = marker_environment(system, python)
    found = {}
    for requirement in map(Requirement, constraint_lines()):
        if requirement.marker is None or requirement.marker.evaluate(environment):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice on {system}, Python {python}"
            found[name] = str(requirement.specifier).removeprefix("==")
    return found


def conda():
    """Return the parsed environment.yml, its packages as PyPI name -> specifier, and its pip lines."""
    environment = yaml.safe_load(text("environment.yml"))
    packages, pip = {}, []
    for entry in environment["dependencies"]:
        if isinstance(entry, dict):
            assert set(entry) == {"pip"}
            pip += entry["pip"]
            packages |= {r.name: r.specifier for r in map(Requirement, entry["pip"][1:])}
            continue
        match = re.fullmatch(r"([a-z0-9][a-z0-9._-]*)([<>=!~].*)?", entry)
        assert match, f"not a plain name with bounds: {entry!r}"
        name, bounds = match[1], match[2] or ""
        if re.fullmatch(r"=[0-9.]+", bounds):  # conda's word for "this series"
            bounds = f"={bounds}.*"
        name = CONDA_TO_PYPI.get(name, name)
        assert name not in packages, f"{name} is listed twice"
        packages[name] = SpecifierSet(bounds)
    return environment, packages, pip


def test_environment_yml_is_what_conda_and_repo2docker_understand():
    environment, packages, pip = conda()
    assert set(environment) == {"name", "channels", "dependencies"}
    assert re.fullmatch(r"[a-z0-9-]+", environment["name"])
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert pip[0] == "-e ."
    assert "pip" in packages
    # repo2docker reads a Python from "python=3.12", and from no other form of it.
    assert [d for d in environment["dependencies"] if str(d).startswith("python")] == ["python=3.12"]
    assert "3.12" in SpecifierSet(project()["requires-python"])


def test_what_binder_runs_when_it_builds_is_a_script_that_bash_reads_and_a_command_that_is_there():
    script = ROOT / "postBuild"  # repo2docker looks for it beside environment.yml
    assert script.read_bytes().startswith(b"#!/bin/bash\n")
    assert os.name == "nt" or os.access(script, os.X_OK)
    if bash := shutil.which("bash"):
        subprocess.run([bash, "-n", script], check=True)
    (command,) = [line for line in text("postBuild").splitlines() if line.startswith("python")]
    words = [sys.executable, *command.split()[1:], "--help"]
    assert "Compile what the notebooks use" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_environment_yml_and_pyproject_name_the_same_packages_and_bounds():
    _, packages, _ = conda()
    assert {n: s for n, s in packages.items() if n not in ("python", "pip")} == requirements("test")


def test_every_bound_is_a_lower_bound():
    for system in set(SYSTEMS) - {"Intel Mac"}:
        for name, specifier in requirements("test", "browser", "cluster", "web", system=system).items():
            assert [s.operator for s in specifier] == [">="], f"{name}{specifier}"


@pytest.mark.parametrize(("system", "python"), list(itertools.product(SYSTEMS, PYTHONS)))
def test_constraints_pin_every_requirement_within_its_bounds(system, python):
    if system == "Intel Mac" and python.startswith("3.14"):
        pytest.skip("no numba for an Intel Mac with Python 3.14")
    pinned = pins(system, python)
    for name, specifier in requirements("test", "browser", "cluster", "web", system=system, python=python).items():
        assert name in pinned, f"{name} is not pinned"
        assert pinned[name] in specifier, f"{name}=={pinned[name]} is outside {specifier}"


def test_constraints_fork_for_the_intel_mac():
    last_with_wheels = {"numba": "0.62.1", "llvmlite": "0.45.1", "argon2-cffi-bindings": "25.1.0"}
    for name, number in last_with_wheels.items():
        assert pins("Intel Mac", "3.12.3")[name] == number
        assert pins("Mac arm64", "3.12.3")[name] != number


def test_constraints_hold_for_every_python_and_say_how_they_were_made():
    made = re.search(r"^# made with: (.*)$", text("constraints.txt"), re.MULTILINE)[1]
    assert "--universal" in made
    assert f"--python-version {project()['requires-python'].removeprefix('>=')} " in made
    assert re.findall(r"--extra (\S+)", made) == list(project()["optional-dependencies"])
    for line in constraint_lines():
        (pin,) = Requirement(line).specifier
        assert pin.operator == "==", line


def test_installed_packages_are_within_the_bounds():
    for name, specifier in requirements("test").items():
        assert version(name) in specifier, name


@pytest.mark.parametrize(
    "name",
    [
        "constraints.txt",
        "environment.yml",
        "postBuild",
        "pyproject.toml",
        "lab.py",
        ".ci/run",
        ".github/workflows/tests.yml",
        ".github/workflows/pages.yml",
    ],
)
def test_no_index_host_and_no_path_of_one_machine(name):
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text(name))
    assert not re.search(r"(^|[\s\"'=:(])(/(home|root|work|opt|tmp|Users)/|[A-Z]:\\)", text(name))


def test_one_version_everywhere():
    number = project()["version"]
    assert yaml.safe_load(text("CITATION.cff"))["version"] == number
    assert re.search(r"^## \[([^\]]+)\]", text("CHANGELOG.md"), re.MULTILINE)[1] == number


def test_one_author_everywhere():
    (author,) = project()["authors"]
    assert yaml.safe_load(text("CITATION.cff"))["authors"] == [author]
    assert author["name"] in text("LICENSE")
    assert author["name"] in text("LICENSE-TEXT")


def test_licences_name_what_they_cover():
    assert "https://creativecommons.org/licenses/by/4.0/" in text("LICENSE-TEXT")
    assert "data/patch/" in text("LICENSE-TEXT")
    assert "GPL-2.0" in text("LICENSE-TEXT")


def test_markers_of_the_test_command_are_registered():
    options = tomllib.loads(text("pyproject.toml"))["tool"]["pytest"]["ini_options"]
    assert {line.split(":")[0] for line in options["markers"]} >= {"once", "slow", "browser"}
