"""Code to read: the patch as the kernel has it, and the library's rules as they run."""

import ast
import html
import pathlib
import textwrap

from .. import _jit
from ..checks import shown, whole_number
from ..files import DATA
from ..mechanism import memcontrol, page_counter, replay, sock, stock_v4_13, stock_v4_14, stock_v6_1

PATCH = DATA / "patch" / "475d048.diff"
RULES = (stock_v4_13, stock_v4_14, stock_v6_1, page_counter, memcontrol, sock, replay)

# JupyterLab breaks a long line of a <pre> within a word; this one scrolls instead.
_LINES = "white-space:pre;word-break:normal;overflow-wrap:normal"
_PRE = (
    f"background:#fafafa;color:#222222;border:1px solid #cccccc;padding:0.5em;overflow-x:auto;line-height:1.45;{_LINES}"
)
_SIGNS = {
    "+": ("ins", "background:#dcecf7;color:#00406b;text-decoration:none"),
    "-": ("del", "background:#fbe5d8;color:#7a3500;text-decoration:none"),
    "@": ("span", "color:#555555;font-style:italic"),
}


class Quote:
    """Lines of code with where they come from: plain text, and HTML in which added and removed lines stand out.

    Parameters
    ----------
    caption : str
        Where the lines come from.
    lines : list of (int, str)
        Line number and line.
    diff : bool
        True if the first letter of a line says whether it was added or removed.
    """

    def __init__(self, caption, lines, diff=False):
        self.caption, self.lines, self.diff = caption, lines, diff

    @property
    def text(self):
        """The lines alone."""
        return "\n".join(line for _, line in self.lines)

    def __repr__(self):
        width = len(str(self.lines[-1][0]))
        return "\n".join([self.caption, *(f"{number:>{width}}  {line}".rstrip() for number, line in self.lines)])

    def to_html(self):
        """The lines in a ``<pre>`` with numbers; added lines are ``<ins>``, removed lines ``<del>``."""
        width = len(str(self.lines[-1][0]))
        rows = []
        for number, line in self.lines:
            sign = "" if line.startswith(("---", "+++")) else line[:1]
            tag, look = _SIGNS.get(sign, ("span", "")) if self.diff else ("span", "")
            look = f' style="{look}"' if look else ""
            rows.append(
                f'<span style="color:#666666">{number:>{width}}  </span><{tag}{look}>{html.escape(line)}</{tag}>'
            )
        code = "\n".join(rows)
        caption = html.escape(self.caption)
        lines = f'<pre style="{_PRE}" tabindex="0"><code style="{_LINES}">{code}</code></pre>'
        return f"<figure>{lines}<figcaption>{caption}</figcaption></figure>"

    def _repr_mimebundle_(self, include=None, exclude=None, **options):
        return {"text/plain": repr(self), "text/html": self.to_html()}


def show_patch(hunk=None):
    """The patch, or one hunk of it, as the kernel's history has it.

    Parameters
    ----------
    hunk : {1, 2}, optional
        1: the cap in ``refill_stock``. 2: ``mem_cgroup_uncharge_skmem``. By default both.

    Returns
    -------
    Quote
        Its line numbers are those of ``data/patch/475d048.diff``.

    Raises
    ------
    ValueError
        If there is no such hunk, or the file is missing.

    Examples
    --------
    >>> show_patch(hunk=2)
    Linux, GPL-2.0, mm/memcontrol.c, 475d048, hunk 2 of 2
     9  @@ -5886,8 +5889,7 @@ void mem_cgroup_uncharge_skmem(struct mem_cgroup *memcg, unsigned int nr_pages)
    10       this_cpu_sub(memcg->stat->count[MEMCG_SOCK], nr_pages);
    11  -    page_counter_uncharge(&memcg->memory, nr_pages);
    12  -    css_put_many(&memcg->css, nr_pages);
    13  +    refill_stock(memcg, nr_pages);
    14   static int __init cgroup_memory(char *s)
    """
    try:
        lines = PATCH.read_text(encoding="utf-8").splitlines()
    except OSError:
        raise ValueError(
            "data/patch/475d048.diff is missing; open the notebooks in a full copy of the repository."
        ) from None
    lines = list(enumerate((_tabs(line) for line in lines), start=1))
    starts = [k for k, (_, line) in enumerate(lines) if line.startswith("@@")]
    caption = "Linux, GPL-2.0, mm/memcontrol.c, 475d048"
    if hunk is None:
        return Quote(caption, lines, diff=True)
    hunk = whole_number("hunk", hunk, 1, len(starts))
    chosen = lines[starts[hunk - 1] : (starts[hunk:] or [len(lines)])[0]]
    return Quote(f"{caption}, hunk {hunk} of {len(starts)}", chosen, diff=True)


def _tabs(line):
    """The sign of a diff line stays, the kernel's tabs become four blanks: the line fits on a slide."""
    return line if line.startswith("@@") else line[:1] + line[1:].replace("\t", "    ")


def show_rule(function):
    """A rule of the library as it runs, found by its name.

    Parameters
    ----------
    function : str or function
        Such as "refill_stock_capped", or the rule of a policy such as ``V4_14.refill``.

    Returns
    -------
    Quote

    Raises
    ------
    ValueError
        If no rule has that name.

    Examples
    --------
    >>> rule = show_rule("uncharge_to_stock")
    >>> rule.caption, rule.lines[-1]
    ('memcg_lab/mechanism/stock_v4_14.py', (3, '    refill(st, batch, drain, cpu, memcg, nr_pages)'))
    """
    name = function if isinstance(function, str) else getattr(function, "__name__", None)
    known = {}
    for module in RULES:
        path = pathlib.Path(module.__file__)
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                known.setdefault(node.name, (path, source, node))
    if not isinstance(function, str) and callable(function) and name is not None and name not in known:
        return _own_rule(function, name)
    if name not in known:
        known = ", ".join(sorted(n for n in known if n.endswith("stock") or n.startswith(("uncharge_", "refill_"))))
        raise ValueError(
            f"no rule is called {shown(name)}; there are {known} and the other functions of memcg_lab/mechanism."
        )
    path, source, node = known[name]
    body = textwrap.dedent("\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno])).splitlines()
    where = path.relative_to(_jit.PACKAGE.parent).as_posix()
    return Quote(where, list(enumerate(body, start=1)))


def _own_rule(function, name):
    try:
        body = textwrap.dedent(_jit.source(function)).splitlines()
    except (OSError, TypeError):
        raise ValueError(f"the source of {name} cannot be read; define it in a cell or a file.") from None
    return Quote(f"{name}, a rule of yours", list(enumerate(body, start=1)))
