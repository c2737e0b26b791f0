"""What holds for every figure, whatever it shows."""

import re

from memcg_lab.figures import base

KINDS = (
    "(Bar chart|Line chart|Step chart|Scatter plot|Two line charts side by side|Two panels of paired bars|Map of marks)"
)


def check_words(figure):
    """The sentence names the kind and has a number; the caption starts with its message and number."""
    assert re.match(rf"{KINDS}, .*\d.*\.$", figure.sentence)
    assert re.search(r"\d", figure.caption.split(". ")[0])
    assert "0x" not in repr(figure)


def check_picture(figure, units):
    """It is small and the same each time, has units and no title, and no label leaves it."""
    first = figure.png()
    assert first == figure.png()
    assert len(first) < 40_000
    drawn = figure.figure
    assert all(axes.get_title() == "" for axes in drawn.axes)
    assert re.search(units, drawn.axes[0].get_ylabel() + drawn.axes[0].get_xlabel())
    renderer = base.FigureCanvasAgg(drawn).get_renderer()
    width, height = drawn.bbox.size
    for axes in drawn.axes:
        for label in axes.texts:
            box = label.get_window_extent(renderer)
            assert box.x0 >= -1
            assert box.y0 >= -1
            assert box.x1 <= width + 1
            assert box.y1 <= height + 1
