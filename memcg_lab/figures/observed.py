"""Charts of recorded traces."""

from .. import text
from .base import Figure, canvas, label_ends, looks, styled


@styled
def what_if(table, slack):
    """Lines: pages in stocks over the time of a trace, one line a policy.

    Parameters
    ----------
    table, slack : DataFrame
        What :func:`memcg_lab.observed.what_if.what_if` returned.

    Returns
    -------
    Figure
        Its table is the one of the policies.

    Raises
    ------
    ValueError
        If there is no policy.
    """
    if not len(table):
        raise ValueError("the table has no policies.")
    figure, axes = canvas()
    ends = []
    for name, look in looks(slack.columns).items():
        axes.plot(slack.index, slack[name], color=look.color, linestyle=look.linestyle, linewidth=1.6)
        row = table[table["policy"] == name].iloc[0]
        ends.append(
            (slack.index[-1], slack[name].iloc[-1], f"{name}: {text.number(int(row['atomics']))} atomics", look.color)
        )
    axes.set_xlim(slack.index[0], slack.index[-1])
    axes.set_ylim(0, max(1, float(slack.to_numpy().max())) * 1.08)
    axes.set_xlabel("time of the trace, ms")
    axes.set_ylabel("pages in stocks")
    label_ends(axes, ends)
    caption, sentence = text.what_if(table)
    return Figure(figure, caption, sentence, table.set_index("policy").round(3))
