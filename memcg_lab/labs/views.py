"""HTML above the picture of a lab: the steps of one operation, and where the pages are after it."""

import html

from ..history import CAP_DRAIN, CAP_TEST, NEW_REFILL, PATCH_LINES
from ..mechanism.records import CHARGE_BATCH, OPS
from ..mechanism.steps import COUNTER_ATOMIC, STEP_CONSUME_MISS, STEP_DRAIN_OWNER, STEP_REFILL_OWNER, STEP_RETURN, STEPS
from ..words import count, number

ROW = 21  # pixels of a line of steps

STYLE = """<style>
.ml,.ml *{box-sizing:border-box}
.ml{background:#fff;color:#222;font:15px/1.35 system-ui,sans-serif;border:1px solid #bbb;padding:8px 10px}
.ml .two{display:flex;flex-wrap:wrap;gap:10px}
.ml .machine{flex:1 1 500px;min-width:0;padding:6px 10px 8px;border:3px solid #0072B2}
.ml .machine.before{border:3px dashed #D55E00}
.ml .op{font-size:17px;font-weight:600;margin:0 0 6px;min-height:1.35em}
.ml .t{margin:0;font-size:16px;font-weight:700}
.ml .before .t{color:#a84a00}.ml .after .t{color:#005f96}
.ml .big{font-size:24px;font-weight:700}
.ml table{border-collapse:collapse;width:100%;margin:4px 0;font-size:14.5px}
.ml td,.ml th{padding:1px 6px;border:0;text-align:right;background:none;white-space:nowrap}
.ml th{font-weight:600;color:#444;border-bottom:1px solid #ccc}
.ml th[scope=row],.ml td.l,.ml th.l{text-align:left;border-bottom:0}
.ml td.l{white-space:normal}
.ml .was{color:#555;font-size:12px}
.ml .new{font-weight:700;background:#fff3b8}
.ml .bar{display:inline-block;width:110px;height:13px;border:1px solid #555;background:#fff;vertical-align:-2px;
position:relative}
.ml .bar i{display:block;height:13px;background:#555}
.ml .bar b{position:absolute;top:-3px;bottom:-3px;border-left:2px solid #000}
.ml ol{list-style:none;margin:6px 0 0!important;padding:0!important;font-size:14px;line-height:21px}
.ml li{display:flex;gap:6px;min-height:21px}
.ml li.f{font-family:ui-monospace,monospace;font-size:13px;color:#444;margin-top:1px}
.ml li.p{font-family:ui-monospace,monospace;font-size:13px;font-weight:700;padding:0 4px}
.ml .minus{background:#fbe5d8;color:#7a3500}.ml .plus{background:#dcecf7;color:#00406b}
.ml li.s{padding-left:14px}.ml li.c{border-left:4px solid #8a8a8a;padding-left:10px}
.ml li .n{color:#666;min-width:1.4em;text-align:right}
.ml li .w{flex:1 1 auto;min-width:0}
.ml li .v{white-space:nowrap;font-variant-numeric:tabular-nums}
.ml .atomic{border:1.5px solid #222;border-radius:3px;font-weight:700;font-size:11px;line-height:15px;padding:0 4px;
height:16px;margin-top:2px}
</style>"""


def machine(name, title, history, k, names, rows):
    """One machine after ``k`` operations.

    Parameters
    ----------
    name : {"before", "after"}
    title : str
    history : History
    k : int
        Operations executed; 0 = none.
    names : list of str
        What each cgroup is called.
    rows : int
        Lines to keep free for the steps, so that nothing jumps.
    """
    here = int(history.atomics[k - 1]) if k else 0
    head = (
        f'<p class="t">{html.escape(title)}</p><div><span class="big">{number(here)}</span> '
        f"{'atomic' if here == 1 else 'atomics'} in this operation, "
        f'<span class="big">{number(int(history.total[k]))}</span> so far</div>'
    )
    return (
        f'<section class="machine {name}" aria-label="{html.escape(title)}">{head}'
        f"{_places(history, k, names)}{steps(history, k, names, rows)}</section>"
    )


def step_lines(history, k):
    """How many lines the steps of operation ``k`` (1 …) take."""
    return len(_step_rows(history, k, None))


def _places(history, k, names):
    """Counters by level and the stocks, with what just changed."""
    state, past = history.state(k), history.state(max(0, k - 1))
    head = "".join(
        f'<th scope="col"{" class=l" if i == 0 else ""}>{title}</th>'
        for i, title in enumerate(("counter", "memory.current", "references", "MEMCG_SOCK"))
    )
    rows = []
    for m in reversed(range(len(names))):
        cells = "".join(value(getattr(state, field)[m], getattr(past, field)[m]) for field in ("usage", "css", "sock"))
        rows.append(f'<tr><th scope="row">{html.escape(names[m])}</th>{cells}</tr>')
    stocks = []  # the bars end at 40 pages, so that 33 can be seen
    for cpu, ((memcg, pages), (past_memcg, past_pages)) in enumerate(zip(state.stock, past.stock, strict=True)):
        share = min(100, round(80 * pages / CHARGE_BATCH))
        bar = f'<span class="bar" aria-hidden="true"><i style="width:{share}%"></i><b style="left:80%"></b></span>'
        owner = f"of memcg {memcg}" if memcg >= 0 else "of no cgroup"
        changed = (memcg, pages) != (past_memcg, past_pages)
        told = f"{count(pages, 'page')} {owner}"
        was = f' <span class="was">was {number(past_pages)}</span>' if pages != past_pages else ""
        mark = ' class="l new"' if changed else ' class="l"'
        stocks.append(
            f'<tr><th scope="row">stock of CPU {cpu}</th><td class="l">{bar}</td><td{mark}>{told}{was}</td></tr>'
        )
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        f'<table><thead><tr><th class="l" colspan="3">stocks, with a mark at {CHARGE_BATCH} pages</th></tr></thead>'
        f"<tbody>{''.join(stocks)}</tbody></table>"
    )


def level(depth, memcg):
    """A counter's place on the way up: ``root``, ``leaf, memcg 2``; depth counts from the root, -1 is the leaf.

    Examples
    --------
    >>> level(0, 0), level(1, 1), level(-1, 2)
    ('root', 'level 1, memcg 1', 'leaf, memcg 2')
    """
    if depth == 0:
        return "root"
    return f"leaf, memcg {memcg}" if depth < 0 else f"level {depth}, memcg {memcg}"


def is_counter_atomic(code):
    """True if a step is an atomic on a counter of the tree."""
    return bool(COUNTER_ATOMIC[code])


def value(now, past):
    """One number of a machine as a cell of a table, with what it was."""
    if now == past:
        return f"<td>{number(now)}</td>"
    return f'<td class="new"><span class="was">was {number(past)}</span> {number(now)}</td>'


def steps(history, k, names, rows):
    """The steps of operation ``k`` (1 …) as a list, with ``rows`` lines kept free."""
    items = _step_rows(history, k, names) if k else ['<li class="s">Nothing has run yet.</li>']
    return f'<ol style="min-height:{rows * ROW}px">{"".join(items)}</ol>'


def _step_rows(history, k, names):
    """The steps as list items: the changed line of the patch, the function, then each step in it."""
    taken, lines = history.steps(k - 1), history.lines(k - 1)
    tested = history.cap_test(k - 1)
    items, function, shown = [], None, None
    filled_last = max(
        (i for i, step in enumerate(taken) if STEPS[step.step].rule.startswith("put the pages")), default=-1
    )
    for i, (row, line) in enumerate(zip(taken, lines, strict=True)):
        code, where, before, after = row.step, row.where, row.before, row.after
        kind = STEPS[code]
        if code == STEP_RETURN:
            called = OPS[history.ops["op"][k - 1]]
            if called == "charge_skmem":
                items.append(f'<li class="f">returns {"true: it fits" if after else "false: it does not fit"}</li>')
            elif called == "try_charge":
                items.append(f'<li class="f">returns {"-ENOMEM: it does not fit" if after else "0: it fits"}</li>')
            continue
        if line is not None and line != shown and line != CAP_DRAIN:
            items.append(_patch_line(line))
            function = None if line == NEW_REFILL else function
        shown = line if line is not None else shown
        if kind.function != function:
            function = kind.function
            items.append(f'<li class="f">{function}</li>')
        changed = " c" if line is not None else ""
        atomic = '<span class="atomic">ATOMIC</span>' if kind.atomic else ""
        items.append(
            f'<li class="s{changed}"><span class="n">{i + 1}</span><span class="w">{html.escape(kind.rule)}</span>'
            f'<span class="v">{_touched(code, where, before, after, names)}</span>{atomic}</li>'
        )
        if i == filled_last and tested is not None:
            over = tested > history.policy.batch
            answer = f"{number(tested)} &gt; {number(history.policy.batch)}: {'yes' if over else 'no'}"
            items.append(_patch_line(CAP_TEST, answer))
            if over:
                items.append(_patch_line(CAP_DRAIN))
                shown = CAP_DRAIN
            function = None
    return items


def _patch_line(line, answer=""):
    code = PATCH_LINES[line]
    tag, look = ("del", "minus") if code[0] == "-" else ("ins", "plus")
    answer = f'<span class="v">{answer}</span>' if answer else ""
    return (
        f'<li class="p {look}"><{tag} style="text-decoration:none" class="w">{code[0]} {html.escape(code[1:])}'
        f"</{tag}>{answer}</li>"
    )


def _touched(code, where, before, after, names):
    """What a step touched and how, short: ``memcg 2: 0 → 32``."""
    what = STEPS[code].what
    if code in (STEP_REFILL_OWNER, STEP_DRAIN_OWNER):
        return f"CPU {where}: {_owner(before)} → {_owner(after)}"
    moved = number(before) if code == STEP_CONSUME_MISS else f"{number(before)} → {number(after)}"
    if what.endswith("CPU"):
        return f"CPU {where}: {moved}"
    name = names[where].split(",")[0] if names and where < len(names) else where
    return f"{name}: {moved}"


def _owner(memcg):
    return f"memcg {memcg}" if memcg >= 0 else "none"
