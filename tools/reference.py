"""The reference of the library as pages for the book: every public name of every room, from the docstrings.

Sphinx reads them (autodoc, and napoleon for numpydoc's sections); here only stands which names there are.
"""

import importlib
import inspect
import pkgutil

import memcg_lab

FOLDER = "reference"
# In the order of the imports: a room may import those above it. A package with __all__ has those names; of any other
# room all is told that its modules define.
ROOMS = (
    *("words", "checks", "files", "mechanism", "workload", "history", "system", "golden", "traces", "host"),
    *("kernel_lab", "machine", "hardware", "perf", "forms", "figures", "warmup", "course", "course.notes"),
    *("course.room", "course.papers", "course.before_after", "course.capstone", "labs", "web"),
)


def rooms():
    """Room -> module -> public names, those that have a docstring of their own to show."""
    found = {}
    for room in ROOMS:
        package = importlib.import_module(f"memcg_lab.{room}")
        if hasattr(package, "__all__"):
            names = [name for name in package.__all__ if not inspect.ismodule(getattr(package, name))]
            found[room] = {package.__name__: sorted(names)}
        else:
            found[room] = {module.__name__: names for module in modules(package) if (names := defined_in(module))}
    return found


def modules(package):
    """A module alone, or those of a package."""
    inside = [one.name for one in pkgutil.iter_modules(getattr(package, "__path__", []))]
    return [package, *(importlib.import_module(f"{package.__name__}.{name}") for name in sorted(inside))]


def defined_in(module):
    """Public functions and classes that a module defines itself."""
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and callable(value) and getattr(value, "__module__", None) == module.__name__
    )


def pages():
    """Page -> its text; the first one leads to all others."""
    known = rooms()
    made = {f"{FOLDER}/index": vocabulary_page(known)}
    return made | {f"{FOLDER}/{room}": room_page(room, parts) for room, parts in known.items()}


def room_page(room, parts):
    """One room: what it is, and an entry for each name."""
    package = importlib.import_module(f"memcg_lab.{room}")
    lines = titled(f"memcg_lab.{room}", "=") + [first_sentence(package), ""]
    for module, names in parts.items():
        if module != package.__name__:
            lines += [*titled(module, "-"), first_sentence(importlib.import_module(module)), ""]
        for name in names:
            lines += [*entry(f"{module}.{name}", getattr(importlib.import_module(module), name)), ""]
    return "\n".join(lines)


def entry(name, value):
    """What Sphinx shall read for one name."""
    home = getattr(value, "__module__", None) or ""
    room = ".".join(name.split(".")[:2])
    if not callable(value):
        return [f".. py:data:: {name}", "", f"   {kind_of(value)}"]
    if not home.startswith(room):
        return [
            f".. py:data:: {name}",
            "",
            f"   The same as :py:obj:`{'.'.join(home.split('.')[:2])}.{value.__name__}`.",
        ]
    if not inspect.isclass(value):
        return [f".. autofunction:: {name}"]
    if issubclass(value, tuple):  # of a record each field would say that it is one
        return [f".. autoclass:: {name}"]
    return [f".. autoclass:: {name}", "   :members:"]


def kind_of(value):
    """A value that has no docstring of its own: what it is, and of a small mapping the names in it."""
    if isinstance(value, dict):
        return f"A dict with {', '.join(f'``{key}``' for key in value)}."
    if isinstance(value, (tuple, list)):
        return f"{', '.join(f'``{one}``' for one in value)}."
    own = inspect.getdoc(value)
    return first(own) if own and own != inspect.getdoc(type(value)) else f"A ``{type(value).__name__}``."


def vocabulary_page(known):
    """The names of a notebook with a sentence each, and the rooms."""
    lines = [*titled("Reference", "="), first_sentence(memcg_lab), ""]
    lines += [*titled("The vocabulary of a notebook", "-"), ".. list-table::", "   :widths: 25 75", ""]
    for name in sorted(memcg_lab.__all__, key=str.lower):
        value, where = getattr(memcg_lab, name), f"memcg_lab.{memcg_lab._LATER[name]}"
        if inspect.ismodule(value):
            link = f":doc:`{name} <{name}>`"
        elif any(name in names for parts in known.values() for names in parts.values()):
            module = next(module for parts in known.values() for module, names in parts.items() if name in names)
            link = f":py:obj:`{name} <{module}.{name}>`"
        else:
            link = f"``{name}``, in :doc:`{where} <{where.split('.')[1]}>`"
        lines += [f"   * - {link}", f"     - {first_sentence(value)}"]
    lines += ["", *titled("The rooms", "-"), ".. list-table::", "   :widths: 25 75", ""]
    for room in known:
        about = first_sentence(importlib.import_module(f"memcg_lab.{room}"))
        lines += [f"   * - :doc:`memcg_lab.{room} <{room}>`", f"     - {about}"]
    lines += ["", ".. toctree::", "   :hidden:", "", *(f"   {room}" for room in known)]
    return "\n".join(lines) + "\n"


def first_sentence(value):
    """The first lines of a docstring; of a value that has none of its own, what it is."""
    return first(inspect.getdoc(value) or "") if callable(value) or inspect.ismodule(value) else kind_of(value)


def first(said):
    return " ".join(said.split("\n\n")[0].split())


def titled(text, mark):
    return [text, mark * len(text), ""]
