"""Links, headings and prose of Markdown text, as CommonMark reads it: for the link test, the anatomy and the book."""

import re

from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark").enable("table")
MARKDOWN.validateLink = lambda target: True  # a link that leads nowhere good is a link all the same

HTML_LINK = re.compile(r"<[a-z]+\b[^>]*?\b(?:href|src)\s*=\s*[\"']([^\"']*)[\"']", re.IGNORECASE)
HTML_ANCHOR = re.compile(r"<[a-z]+\b[^>]*?\b(?:id|name)\s*=\s*[\"']([^\"']+)[\"']", re.IGNORECASE)
SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")


def tokens(text):
    """Every token of the text, the inner ones too."""
    return [inner for token in MARKDOWN.parse(text) for inner in (token, *(token.children or ()))]


def html(text):
    """The pieces of HTML in the text, comments left out."""
    found = [token.content for token in tokens(text) if token.type in ("html_block", "html_inline")]
    return [piece for piece in found if not piece.lstrip().startswith("<!--")]


def targets(text):
    """Every link target of the text, each once."""
    environment = {}
    MARKDOWN.parse(text, environment)
    defined = [reference["href"] for reference in environment.get("references", {}).values()]
    found = [token.attrs.get("href") or token.attrs.get("src") for token in tokens(text)]
    found += [target for piece in html(text) for target in HTML_LINK.findall(piece)]
    return [target for target in dict.fromkeys(found + defined) if target]


def headings(text):
    """(level, words) of every heading."""
    everything = tokens(text)
    return [
        (int(token.tag[1]), words_of(inline.children))
        for token, inline in zip(everything, everything[1:], strict=False)
        if token.type == "heading_open"
    ]


def words_of(inline):
    """The words of a line, without markup."""
    return "".join(token.content if token.type != "softbreak" else " " for token in inline).strip()


def anchors(text):
    """Anchors that HTML tags in the text set by themselves."""
    return {name for piece in html(text) for name in HTML_ANCHOR.findall(piece)}


def prose(text):
    """What is said in the text: its words and its HTML, without code and comments."""
    lines = [token.children for token in tokens(text) if token.type == "inline"]
    said = [words_of(t for t in line if t.type not in ("code_inline", "html_inline")) for line in lines]
    return "\n\n".join(said + html(text))


def slug(heading):
    """The anchor that GitHub and the book give to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def lab_slug(heading):
    """The anchor that JupyterLab gives to a heading of a notebook."""
    return heading.replace(" ", "-")


def is_absolute(target):
    """True for a target with a scheme or a host."""
    return bool(SCHEME.match(target)) or target.startswith("//")
