"""The figure object, the house look, and the small helpers every chart uses."""

import base64
import functools
import html
import io
import os
import pathlib
from collections import namedtuple

import numpy as np
from matplotlib import font_manager, style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from PIL import Image

from ..checks import several, whole_number
from ..files import path_of, writing
from ..words import number, printable

NAME_SHOWN = 44  # letters of a name from elsewhere

STYLE = ["default", str(pathlib.Path(__file__).with_name("memcg.mplstyle"))]

BEFORE, AFTER, THIRD, FOURTH, GREY = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#666666"

Look = namedtuple("Look", "color linestyle marker hatch width")
LOOKS = {
    "before": Look(BEFORE, (0, (5, 2)), "s", "///", 2.6),
    "after": Look(AFTER, "-", "o", "", 2.6),
}
# What is neither before nor after takes these in turn; line style and marker tell them apart without colour.
FURTHER = (
    Look(THIRD, (0, (1, 1.4)), "^", "...", 2.4),
    Look(FOURTH, (0, (7, 2, 1.5, 2)), "D", "xxx", 2.4),
    Look(GREY, (0, (3, 1.5)), "v", "---", 2.2),
    Look("#444444", (0, (1, 3)), "P", "+++", 2.2),
)
SAME_AS = {"v4.13": "before", "v4.14": "after"}


def looks(labels):
    """One look for each label: the fixed pair for before and after, the further ones in order for the rest."""
    further = iter(FURTHER)
    chosen = {}
    for label in labels:
        first = label.split(",")[0].split(" (")[0].strip().lower()
        key = SAME_AS.get(first, first)
        chosen[label] = LOOKS[key] if key in LOOKS else next(further, FURTHER[-1])
    return chosen


class Figure:
    """A picture with everything a reader who cannot see it needs.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    caption : str
        The message, with its number.
    sentence : str
        The alternative text: kind of picture, axes, trend, one number.
    table : pandas.DataFrame
        The numbers that were drawn; the index names the rows.

    Examples
    --------
    >>> from memcg_lab import System, V4_13, V4_14, figures, pingpong
    >>> before, after = (System.chain(depth=1, cpus=1, policy=p) for p in (V4_13, V4_14))
    >>> _ = before.replay(pingpong(100)), after.replay(pingpong(100))
    >>> figures.atomics_by_level(before, after)
    Figure: Giving back through the stocks takes 2 atomics instead of 208 for the same traffic, 104 times fewer.
    In words: Bar chart, atomics by counter level, 2 levels from the leaf to the root: before the patch the root takes \
104, after it 1.
    """

    def __init__(self, figure, caption, sentence, table):
        self.figure, self.table = figure, table
        self.caption, self.sentence = printable(caption), printable(sentence)
        if figure.get_layout_engine() is not None:
            with style.context(STYLE):
                figure.draw_without_rendering()
            figure.set_layout_engine("none")  # a second layout would move things by a pixel

    def __repr__(self):
        return f"Figure: {self.caption}\nIn words: {self.sentence}"

    def png(self):
        """The picture as PNG; the same bytes for the same figure and library versions."""
        return png(self.figure)

    def save(self, path, *, replace=False):
        """Write the picture as .png or .svg; ValueError if it cannot be, or is there already and not to be replaced."""
        path = path_of(path)
        with writing(path, replace=replace) as scratch:
            if path.suffix == ".svg":
                with style.context(STYLE):
                    self.figure.savefig(scratch, format="svg", metadata={"Date": None, "Title": self.sentence})
            else:
                scratch.write_bytes(self.png())

    def to_html(self):
        """The picture with alternative text, its caption and the folded table."""
        return figure_html(self.png(), self.sentence, self.caption, self.table)

    def _repr_mimebundle_(self, include=None, exclude=None, **options):
        return {"text/plain": repr(self), "text/html": self.to_html()}


def png(figure):
    """A matplotlib figure as a small PNG: a palette of 64 colours, and no metadata that differ between runs."""
    painted = FigureCanvasAgg(figure)
    with style.context(STYLE):
        painted.draw()
    pixels = Image.fromarray(np.asarray(painted.buffer_rgba())).convert("RGB")
    out = io.BytesIO()
    flat = pixels.quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    flat.save(out, format="PNG", optimize=True)
    return out.getvalue()


def image_html(picture, sentence, size=""):
    """An ``<img>`` that carries the PNG and its alternative text."""
    data = base64.b64encode(picture).decode("ascii")
    return f'<img alt="{html.escape(sentence)}" src="data:image/png;base64,{data}"{size}>'


def figure_html(picture, sentence, caption, table):
    """A ``<figure>``: picture, caption, and the numbers folded below.

    Its first line says nothing: JupyterLab shows it of an output that is folded.
    """
    return (
        f"<figure>\n{image_html(picture, sentence)}<figcaption>{html.escape(caption)}</figcaption>"
        f"{folded(table)}</figure>"
    )


def folded(table, summary="The numbers", caption=""):
    """A data table that the reader unfolds."""
    return f"<details><summary>{html.escape(summary)}</summary>{table_html(table, caption)}</details>"


def mounted():
    """True in a notebook of a Jupyter server: there a front end takes the place of a still picture or text in the page.

    A saved notebook then has no widget in it, only what is still; opened anew it shows that, not "model not found".
    Everywhere else (VS Code, Voila) the output names the widget too.
    """
    return "JPY_SESSION_NAME" in os.environ


def table_html(table, caption=""):
    """A DataFrame as a table whose headers say what they head: text to the left, numbers to the right."""
    names = [printable(name) for name in (table.index.name or "", *table.columns)]
    columns = [table.index, *(values for _, values in table.items())]
    sides = [f' style="text-align:{"right" if all(map(is_number, values)) else "left"}"' for values in columns]
    head = [f'<th scope="col"{side}>{html.escape(name)}</th>' for name, side in zip(names, sides, strict=True)]
    rows = ["".join(head)]
    for label, *values in zip(*map(cells, columns), strict=True):
        row = [f"<td{side}>{html.escape(value)}</td>" for value, side in zip(values, sides[1:], strict=True)]
        rows.append(f'<th scope="row"{sides[0]}>{html.escape(label)}</th>{"".join(row)}')
    caption = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>\n{caption}<thead><tr>{rows[0]}</tr></thead><tbody>" + (
        "".join(f"<tr>{row}</tr>" for row in rows[1:]) + "</tbody></table>"
    )


def cells(values):
    """A column of a table as texts; where numbers need one or two digits after the point, all have as many."""
    texts = [cell(value) for value in values]
    places = max((len(text.partition(".")[2]) for text in texts), default=0)
    if places in (1, 2) and all(is_number(value) and np.isfinite(value) for value in values):
        texts = [text + ("" if "." in text else ".") + "0" * (places - len(text.partition(".")[2])) for text in texts]
    return texts


def cell(value):
    """One entry of a table as text."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return number(value.item() if isinstance(value, np.generic) else value) if is_number(value) else printable(value)


def is_number(value):
    """True if a table sets this value to the right."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def styled(draw):
    """Run a chart function in the house look; nothing outside it changes."""

    @functools.wraps(draw)
    def in_style(*arguments, **options):
        with style.context(STYLE):
            return draw(*arguments, **options)

    return in_style


def fill(look):
    """How a bar is filled: hatched on white, or plain; never by colour alone."""
    return {"facecolor": "white" if look.hatch else look.color, "edgecolor": look.color, "hatch": look.hatch}


@functools.cache
def _letters():
    """What the house font can draw."""
    return frozenset(map(chr, font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap()))


def plain(name):
    r"""A name from elsewhere as a chart can draw it: at most 44 letters, all of them in the font, none obeyed.

    Examples
    --------
    >>> print(plain("tcp_ack"), plain("a\nb"), plain("$x_2$"), plain("猫"))
    tcp_ack a\nb $x_2$ \u732b
    """
    text = "".join(
        letter if letter in _letters() else letter.encode("unicode_escape").decode("ascii")
        for letter in printable(name)
    )
    return text if len(text) <= NAME_SHOWN else text[: NAME_SHOWN - 1] + "…"


def in_legend(name):
    """A name as a legend takes it: matplotlib leaves out what begins with an underscore."""
    return f" {plain(name)}" if plain(name).startswith("_") else plain(name)


def canvas(columns=1, **options):
    """An empty picture of the house size and its axes."""
    figure = Canvas()
    axes = figure.subplots(1, columns, squeeze=False, **options)[0]
    return figure, axes[0] if columns == 1 else axes


def thousands(axis):
    """Write an axis' numbers as 10,000."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def logarithmic(axis):
    """A logarithmic axis with its powers of ten written out."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    thousands(axis)
    axis.set_minor_formatter(NullFormatter())


def whole(axis, steps=6):
    """Ticks on whole numbers only."""
    axis.set_major_locator(MaxNLocator(nbins=steps, integer=True))
    thousands(axis)


def label_ends(axes, ends, room=0.0):
    """Write each line's label at its right end; labels that would cover each other are moved apart.

    Parameters
    ----------
    ends : list of (x, y, text, color)
    room : float
        Share of the axes' height a label needs; 0 takes the font's height.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # the layout is known after this
    height = room or 14.5 / (axes.get_window_extent().height / figure.dpi * 72)
    at = [axes.transAxes.inverted().transform(axes.transData.transform((x, y)))[1] for x, y, _, _ in ends]
    # Upper label first where two lines end alike, in the order given.
    order = sorted(range(len(ends)), key=lambda i: (at[i], -i))
    placed = []
    for i in order:
        placed.append(max(at[i], placed[-1] + height) if placed else max(at[i], 0.03))
    top = 1.04
    for k in range(len(placed) - 1, -1, -1):
        placed[k] = min(placed[k], top)
        top = placed[k] - height
    for y, i in zip(placed, order, strict=True):
        _, _, text, color = ends[i]
        axes.annotate(
            text,
            (1.02, y),  # clear of a mark at the line's end
            xycoords="axes fraction",
            color=color,
            va="center",
            ha="left",
            fontsize=10.5,
            fontweight="bold",
            annotation_clip=False,
        )


# --- what a figure takes ---------------------------------------------------------------------------------------------
def numbers(name, values):
    """One row of finite numbers as an array, or a ValueError that says which row is none."""
    try:
        row = np.asarray(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be numbers.") from None
    if row.ndim != 1 or not np.isfinite(row).all():
        raise ValueError(f"{name} must be one row of finite numbers.")
    return row


def rising(name, values, low):
    """Two or more whole numbers that rise, as a list."""
    values = [whole_number(name, value, low, 2**31 - 1) for value in several(name, values)]
    if len(values) < 2 or any(a >= b for a, b in zip(values, values[1:], strict=False)):
        raise ValueError(f"{name} must be two or more whole numbers that rise, from {low} on.")
    return values


def counts(name, values, places, place):
    """Whole numbers from 0 on, one for each place, as a list."""
    values = [whole_number(name, value, 0, 2**62) for value in several(name, values)]
    if len(values) != len(places):
        raise ValueError(f"{name} has {len(values):,} values; it needs one for each {place}, {len(places):,}.")
    return values
