"""Sphinx settings of the book; tools/book.py puts the sources together and runs Sphinx with this file."""

import docutils.nodes
from docutils.utils.math import latex2mathml
from myst_nb.sphinx_ import HideCodeCellNode

project = "memcg-lab"
author = "the memcg-lab authors"
project_copyright = "code: MIT; text and figures: CC-BY-4.0; quotations of the Linux kernel: GPL-2.0"
language = "en"

extensions = ["myst_nb"]
html_theme = "furo"
html_title = "memcg-lab"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 4
myst_update_mathjax = False

# The notebooks come executed. Nothing is fetched: no widget scripts, no script for formulas.
nb_execution_mode = "off"
nb_ipywidgets_js = {}
nb_merge_streams = True
# A figure's HTML has its alt text and its table; every other form comes after it.
nb_mime_priority_overrides = [
    ("html", "text/html", 0),
    ("html", "image/svg+xml", 10),
    ("html", "image/png", 20),
    ("html", "text/markdown", 30),
    ("html", "text/plain", 40),
]
html_math_renderer = "mathml"


def write_mathml(translator, node):
    """Formulas as MathML: browsers show it and screen readers read it, without a script."""
    block = isinstance(node, docutils.nodes.math_block)
    translator.body.append(latex2mathml.tex2mathml(node.astext(), as_block=block))
    raise docutils.nodes.SkipNode


def open_folded(translator, node):
    """Fold an output that answers a question. The summary is what a screen reader says; myst-nb's own has a label."""
    translator.body.append('<details class="tells"><summary>Show what the run says</summary>\n')


def close_folded(translator, node):
    """End what :func:`open_folded` began."""
    translator.body.append("</details>\n")


def level_captions(app, pagename, templatename, context, doctree):
    """Give the captions of the sidebar, which Sphinx calls headings, the level that a heading must have."""
    tree = context.get("furo_navigation_tree")
    if tree:
        context["furo_navigation_tree"] = tree.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app):
    """Register the renderer for formulas, and what mends the sidebar once the theme has made it."""
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))
    app.setup_extension("myst_nb")
    app.add_node(HideCodeCellNode, override=True, html=(open_folded, close_folded))
    app.connect("html-page-context", level_captions, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
