"""Words: numbers, counts, listings, kinds and operations as a reader reads them."""

import math
import textwrap

# English plurals of the words we count that do not just take an s.
_PLURALS = {"entry": "entries", "miss": "misses", "policy": "policies"}


def number(value, digits=3):
    """A number as the reader sees it: ``10,313``, ``0.0909``, ``1,200.5``.

    Parameters
    ----------
    value : int or float
    digits : int
        Significant digits of what is not whole; thousands are never rounded away.

    Examples
    --------
    >>> number(10313), number(3 / 33), number(2.0), number(1234.56)
    ('10,313', '0.0909', '2', '1,235')
    """
    value = float(value) if not isinstance(value, int) else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value == int(value):
        return f"{int(value):,}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    short = f"{value:,.{places}f}"
    return short.rstrip("0").rstrip(".") if "." in short else short


def count(value, noun):
    """A number with its noun: ``1 page``, ``2 pages``, ``0 pages``.

    Examples
    --------
    >>> count(1, "page"), count(10313, "atomic")
    ('1 page', '10,313 atomics')
    """
    return f"{number(value)} {noun if value == 1 else _PLURALS.get(noun, noun + 's')}"


def listing(words, last="and"):
    """Words in a row: ``a``, ``a and b``, ``a, b and c``.

    Examples
    --------
    >>> listing(["before", "after", "cap"])
    'before, after and cap'
    """
    words = [str(word) for word in words]
    return f" {last} ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def kind(value):
    """What a value is: ``an int``, ``a str``."""
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def capital(sentence):
    """The sentence with a capital first letter, unless it starts with a name such as ``v4.13``.

    Examples
    --------
    >>> capital("after the patch"), capital("v4.13 alone")
    ('After the patch', 'v4.13 alone')
    """
    first = sentence.split(" ")[0]
    return sentence if any(letter.isdigit() for letter in first) else sentence[:1].upper() + sentence[1:]


def factor(before, after):
    """How many times less, in words.

    Examples
    --------
    >>> factor(621, 39), factor(39, 39), factor(5, 0), factor(10, 30)
    ('15.9 times fewer', 'as many', 'none left', '3 times more')
    """
    if before == after:
        return "as many"
    if after == 0:
        return "none left"
    if before == 0:
        return "from none"
    if before > after:
        return f"{number(before / after)} times fewer"
    return f"{number(after / before)} times more"


# --- operations ------------------------------------------------------------------------------------------------------
_VERBS = {
    "charge_skmem": "CPU {cpu} charges {pages} to memcg {memcg}",
    "uncharge_skmem": "CPU {cpu} gives {pages} of memcg {memcg} back",
    "try_charge": "CPU {cpu} charges {pages}, not socket memory, to memcg {memcg}",
    "cancel_charge": "CPU {cpu} gives {pages} of memcg {memcg} back past the stock",
    "drain_local": "CPU {cpu} drains its stock",
    "drain_all": "CPU {cpu} has every stock of memcg {memcg} and below drained",
    "cpu_dead": "CPU {cpu} goes away",
    "set_limit": "CPU {cpu} sets the limit of memcg {memcg} to {pages}",
    "set_max": "CPU {cpu} writes memory.max of memcg {memcg}: {pages}",
    "set_high": "CPU {cpu} writes memory.high of memcg {memcg}: {pages}",
}


def operation(name, cpu, memcg, nr):
    """One operation in words.

    Examples
    --------
    >>> operation("uncharge_skmem", 1, 2, 1)
    'CPU 1 gives 1 page of memcg 2 back'
    """
    pages = "max" if nr == -1 else count(nr, "page")
    if name in _VERBS:
        return _VERBS[name].format(cpu=cpu, memcg=memcg, pages=pages)
    return f"CPU {cpu}: {name} of {count(nr, 'byte')}, socket {memcg}"


# --- text from elsewhere ---------------------------------------------------------------------------------------------
def printable(text):
    r"""Text from a file as it may be printed: what a terminal would obey is escaped.

    Control characters (C0 with line breaks, C1, ESC and so OSC), marks that turn the direction of writing, lone
    surrogates and everything else that does not show become ``\x..``, ``\u....`` or ``\U........``.

    Parameters
    ----------
    text : object
        Made a text first.

    Returns
    -------
    str

    Examples
    --------
    >>> print(printable("tcp_ack"), printable("\x1b]0;owned\x07"), printable("naïve…"))
    tcp_ack \x1b]0;owned\x07 naïve…
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "backslashreplace").decode("ascii")
        for letter in text
    )


COLUMNS = 100  # JupyterLab breaks a longer line of print wherever it ends, inside a word too


def wrapped(text):
    r"""A text whose lines are broken between words, so that no notebook breaks one inside a word.

    Examples
    --------
    >>> [len(line) for line in wrapped("page " * 30).split("\n")]
    [99, 49]
    >>> wrapped("one\ntwo")
    'one\ntwo'
    """
    return "\n".join(
        textwrap.fill(line, COLUMNS, break_long_words=False, break_on_hyphens=False) if len(line) > COLUMNS else line
        for line in text.split("\n")
    )
