"""Links and headings of Markdown text: read by the link test and by the book."""

import re

FENCED = r"^[ >]*(?P<fence>`{3,}|~{3,}).*?(?:^[ >]*(?P=fence)[`~]*[ \t]*$|\Z)"
INLINE = r"(?<!`)(?P<ticks>`+)(?!`)(?:(?!\n\n).)+?(?<!`)(?P=ticks)(?!`)"
COMMENT = r"<!--.*?-->"
LINK = r"(?P<open>!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\()(?P<link><[^>\n]*>|[^()\s]+)(?P<title>\s+\"[^\"]*\")?\)"
REFERENCE = r"^ {0,3}\[[^\]^][^\]]*\]:[ \t]+(?P<reference><[^>\n]*>|\S+)"
HTML_LINK = r"<[a-z]+\b[^>]*?\b(?:href|src)\s*=\s*[\"'](?P<html>[^\"']*)[\"']"
FLAGS = re.MULTILINE | re.DOTALL | re.IGNORECASE

# The leftmost alternative wins: a link may hold code in its words, and code may hold what looks like a link.
LINK_OR_CODE = re.compile(f"{LINK}|{REFERENCE}|{HTML_LINK}|{FENCED}|{INLINE}|{COMMENT}", FLAGS)
CODE = re.compile(f"{FENCED}|{INLINE}|{COMMENT}", FLAGS)
BLOCK = re.compile(f"{FENCED}|{COMMENT}", FLAGS)
HTML_ANCHOR = re.compile(r"<[a-z]+\b[^>]*?\b(?:id|name)\s*=\s*[\"']([^\"']+)[\"']", FLAGS)
HEADING = re.compile(r"^ {0,3}(?P<marks>#{1,6})[ \t]+(?P<text>[^\n]*?)[ \t]*#*[ \t]*$", re.MULTILINE)
SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")


def without_code(text):
    """The text without code blocks, inline code and comments: what is prose in it."""
    return CODE.sub("", text)


def targets(text):
    """Every link target of a Markdown text in order, code left out."""
    found = (m["link"] or m["reference"] or m["html"] for m in LINK_OR_CODE.finditer(text))
    return [target.strip("<>") for target in found if target]


def headings(text):
    """(level, text) of every heading, code blocks left out."""
    return [(len(m["marks"]), m["text"]) for m in HEADING.finditer(BLOCK.sub("", text))]


def anchors(text):
    """Anchors that HTML tags in the text set by themselves."""
    return set(HTML_ANCHOR.findall(without_code(text)))


def plain(heading):
    """A heading's words without link targets and markup."""
    return re.sub(r"[`*]", "", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)).strip()


def slug(heading):
    """The anchor that GitHub and the book give to a heading."""
    return re.sub(r"[^\w\- ]", "", plain(heading).lower()).replace(" ", "-")


def lab_slug(heading):
    """The anchor that JupyterLab gives to a heading of a notebook."""
    return plain(heading).replace(" ", "-")


def is_absolute(target):
    """True for a target with a scheme or a host."""
    return bool(SCHEME.match(target)) or target.startswith("//")
