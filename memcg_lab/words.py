"""Text: the sentences of figures and labs, as pure functions of numbers, so that each can be tested by itself."""

import math

# English plurals of the words we count that do not just take an s.
_PLURALS = {"memcg": "memcgs", "entry": "entries", "miss": "misses"}


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


# --- figures ---------------------------------------------------------------------------------------------------------
def atomics_by_level(before, after, root_before, root_after, levels):
    """Caption and sentence of the bars by counter level; the first two are totals over all levels."""
    caption = (
        f"Giving back through the stocks takes {number(after)} atomics instead of {number(before)} "
        f"for the same traffic, {factor(before, after)}."
    )
    if before <= after:
        caption = f"The same traffic takes {number(before)} atomics before the patch and {number(after)} after it."
    sentence = (
        f"Bar chart, atomics by counter level, {count(levels, 'level')} from the leaf to the root: before the patch "
        f"the root takes {number(root_before)}, after it {number(root_after)}."
    )
    return caption, sentence


def over_operations(what, finals, operations):
    """Caption and sentence of lines over operations; ``finals`` maps labels to last values."""
    told = listing(f"{label} {number(value)}" for label, value in finals.items())
    caption = f"After {count(operations, 'operation')}: {told} {what}."
    high, low = max(finals.values()), min(finals.values())
    highest, lowest = ([label for label, value in finals.items() if value == end] for end in (high, low))
    if len(finals) == 1:
        trend = f"{highest[0]} ends at {number(high)}"
    elif high == low:
        trend = f"all end at {number(high)}"
    else:
        trend = (
            f"{listing(highest)} {'ends' if len(highest) == 1 else 'end'} highest at {number(high)}, "
            f"{listing(lowest)} lowest at {number(low)}"
        )
    sentence = f"Line chart, {what} over {count(operations, 'operation')}: {trend}."
    return caption, sentence


def stocks(finals, peaks, operations, bound=None, where="in the stocks", bound_name="bound"):
    """Caption and sentence of pages over operations; ``finals`` and ``peaks`` map labels to pages."""
    _, sentence = over_operations(f"pages {where}", finals, operations)
    most = max(peaks, key=peaks.get)
    caption = f"{capital(most)}: up to {count(peaks[most], 'page')} {where}"
    others = [f"{label} up to {number(peak)}" for label, peak in peaks.items() if label != most]
    caption += f"; {listing(others)}." if others else "."
    if bound is not None:
        over = [label for label, peak in peaks.items() if peak > bound]
        caption += f" The {bound_name} is {count(bound, 'page')}; "
        caption += f"above it: {listing(over)}." if over else "none is above it."
    return caption, sentence


def counter_and_stat(gap_before, gap_after, peak_before, peak_after, operations):
    """Caption and sentence of counter against statistic; gaps and peaks are the largest values, in pages."""
    caption = (
        f"memory.current holds up to {count(gap_after, 'page')} more than the sockets do after the patch, "
        f"up to {number(gap_before)} before it: the pages parked in the stocks."
    )
    sentence = (
        f"Two line charts side by side, pages over {count(operations, 'operation')}, memory.current above MEMCG_SOCK: "
        f"before the patch the counter peaks at {number(peak_before)} and the gap at {number(gap_before)}, "
        f"after it at {number(peak_after)} and {number(gap_after)}."
    )
    return caption, sentence


def atomics_per_page(first, first_before, first_after, break_even, last):
    """Caption and sentence of the cost of a page against the size of a call; ``break_even`` may be None."""
    caption = (
        f"With {count(first, 'page')} a call the patch takes {number(first_after)} atomics a page instead of "
        f"{number(first_before)}; "
    )
    caption += (
        f"from {count(break_even, 'page')} a call on it saves nothing."
        if break_even is not None
        else f"it still saves something at {count(last, 'page')} a call."
    )
    sentence = (
        f"Line chart, atomics per page given back on a logarithmic axis, over {number(first)} to "
        f"{count(last, 'page')} a call: before the patch it falls from {number(first_before)}, after it it starts at "
        f"{number(first_after)}; "
    )
    sentence += (
        f"the lines meet at {count(break_even, 'page')} a call." if break_even is not None else "the lines never meet."
    )
    return caption, sentence


def atomics_by_depth(depths, before, after):
    """Caption and sentence of the cost against depth; ``before`` and ``after`` hold atomics, one for each depth."""
    first, last = depths[0], depths[-1]
    caption = (
        f"From depth {number(first)} to depth {number(last)} the same traffic goes from {number(before[0])} to "
        f"{count(before[-1], 'atomic')} before the patch, and from {number(after[0])} to {number(after[-1])} after it"
    )
    slopes = [_slope(depths, costs) for costs in (before, after)]
    caption += "." if None in slopes else f": each level adds {number(slopes[0])} before, {number(slopes[1])} after."
    sentence = (
        f"Line chart, atomics for the same traffic over depth {number(first)} to {number(last)}: before the patch they "
        f"go from {number(before[0])} to {number(before[-1])}, after it from {number(after[0])} to {number(after[-1])}."
    )
    return caption, sentence


def _slope(x, y):
    """What one step of x adds to y if the points lie on a straight line, else None."""
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    straight = all(abs(y[0] + slope * (here - x[0]) - value) < 1e-9 for here, value in zip(x, y, strict=True))
    return slope if straight else None


def drift_bound(cpus, worst, batch):
    """Caption and sentence of the largest drift; ``worst`` maps labels to pages, one for each number of CPUs."""
    most, line = cpus[-1], f"the line CPUs × {number(batch)}"
    groups = {}
    for label, pages in worst.items():
        groups.setdefault(tuple(pages), []).append(label)
    bound = [n * batch for n in cpus]
    told = [_drift_group(labels, pages, bound, line) for pages, labels in groups.items()]
    caption = f"On {count(most, 'CPU')} the counter is up to {count(max(p[-1] for p in groups), 'page')} ahead. "
    caption += f"{capital('; '.join(told))}."
    sentence = (
        f"Line chart, largest drift in pages over {number(cpus[0])} to {count(most, 'CPU')}: {'; '.join(told)}, "
        f"which ends at {number(bound[-1])}."
    )
    return caption, sentence


def _drift_group(labels, pages, bound, line):
    many = len(labels) > 1
    told = f"{listing(labels)} coincide, and " if many else f"{labels[0]} "
    if list(pages) == bound:
        return f"{told}{'lie' if many else 'lies'} on {line}"
    if all(p <= b for p, b in zip(pages, bound, strict=True)):
        return f"{told}{'end' if many else 'ends'} at {number(pages[-1])}, never above {line}"
    return f"{told}{'end' if many else 'ends'} at {number(pages[-1])}, above {line}"


def profile(rows, percents, marked, shown):
    """Caption and sentence of the bars of a profile.

    Parameters
    ----------
    rows : list of str
        The symbols, in the order of the listing.
    percents : list of float
    marked : list of int
        Rows that are marked, from 0.
    shown : int
        Bars that are drawn.

    Examples
    --------
    >>> profile(["a", "b"], [2.13, 1.0], [0], 2)[0]
    '1 of 2 rows is marked: 2.13 % of all samples.'
    """
    n = len(rows)
    listed = f"{sum(percents):.2f} %"
    if not marked:
        caption = f"{count(n, 'row')} with {listed} of all samples; none is marked."
    else:
        caption = (
            f"{number(len(marked))} of {count(n, 'row')} {'is' if len(marked) == 1 else 'are'} marked: "
            f"{sum(percents[k] for k in marked):.2f} % of all samples."
        )
    caption += f" The first {number(shown)} are drawn." if shown < n else ""
    sentence = (
        f"Bar chart, percent of samples by symbol, {count(n, 'row')} from {percents[0]:.2f} to {percents[-1]:.2f} %: "
    )
    told = [f"{rows[k]} {percents[k]:.2f}" for k in marked[:4]]
    if len(marked) > 4:
        told.append(f"{number(len(marked) - 4)} more")
    sentence += f"marked {'is' if len(marked) == 1 else 'are'} {listing(told)}." if marked else "none is marked."
    return caption, sentence


# --- labs ------------------------------------------------------------------------------------------------------------
LIVE = "Run this cell to make it live."


def patch_position(number_, total, operation_, before, after, reason, sum_before, sum_after):
    """The status line of the patch lab: what one operation costs on both machines.

    Examples
    --------
    >>> patch_position(2, 400, "uncharge_skmem of 1 page on CPU 1", 3, 0, "", 6, 3)
    'Operation 2 of 400, uncharge_skmem of 1 page on CPU 1: before 3 atomics, after 0. So far 6 before, 3 after.'
    """
    if number_ == 0:
        return f"Nothing has run yet: {count(total, 'operation')} wait."
    why = f" ({reason})" if reason else ""
    return (
        f"Operation {number(number_)} of {number(total)}, {operation_}: before {count(before, 'atomic')}, "
        f"after {number(after)}{why}. So far {number(sum_before)} before, {number(sum_after)} after."
    )


def failed(what):
    """What a lab says when something went wrong; the last good view stays."""
    what = str(what).strip() or "an unknown error"
    return f"That did not work: {what.rstrip('.')}. The lab still shows the last settings that did."


# --- the simulated profile -------------------------------------------------------------------------------------------
def listing_beside(rows):
    """Caption and sentence of the published listing beside the simulated one."""
    fitted = [row for row in rows.itertuples() if row.reading.startswith("fitted")]
    readings = [row.reading for row in rows.itertuples()]
    each = [f"{readings.count(word)} {word}" for word in ("explained", "on the edge", "not explained")]
    caption = (
        f"Of {count(len(rows), 'modelled function')}, {len(fitted)} was fitted, "
        + ", ".join(part for part in each if not part.startswith("0 on"))
        + "."
    )
    told = "; ".join(
        f"{row.symbol} {row.model_before:.2f} before and {row.model_after:.2f} after" for row in rows.itertuples()
    )
    sentence = (
        "Two panels of paired bars, published and simulated percent of samples, before and after the patch. "
        f"The simulation says: {told}."
    )
    return caption, sentence


def host_map(hosts):
    """Caption and sentence of the map of hosts."""
    agree = hosts[hosts["agrees"]]
    caption = f"The listing does not contradict {len(agree)} of {count(len(hosts), 'host')} (filled circles)."
    where = "; ".join(
        f"{machine}, {meeting}, {listing([str(level) for level in levels])} counters"
        for (machine, meeting), levels in agree.groupby(["machine", "meeting"], sort=False)["levels"]
    )
    beside = "Beside each mark: percent of __sk_mem_reduce_allocated after the patch."
    return (
        f"{caption} {beside}",
        "Map of marks, machines and traffic by number of counters from the cgroup to the root; circles agree, crosses "
        f"do not. {caption} {f'They are: {where}.' if where else 'None of them agrees.'} {beside}",
    )


def cost(top, explained):
    """What one fitted host says of the listing."""
    rows = {row.symbol: row for row in explained.itertuples()}
    parts = [
        f"{count(top.host.levels, 'counter')} on {top.host.cpus} CPUs, {top.host.meeting}: fitted to "
        f"page_counter_cancel {top.measured} %; that makes {top.uncharges_per_second / 1e6:.2f} million uncharges a "
        "second"
    ]
    for symbol in ("__sk_mem_reduce_allocated", "tcp_delack_timer_handler"):
        row = rows.get(symbol)
        if row is not None:
            parts.append(
                f"{symbol} would be {row.model_before:.2f} % before and {row.model_after:.2f} % after: {row.reading}"
            )
    return "; ".join(parts) + "."


# --- contention ------------------------------------------------------------------------------------------------------
def at_place(what, place):
    """A place of a chart in words.

    Examples
    --------
    >>> at_place("CPUs", 4), at_place("CPUs", 1), at_place("think time, ns", 500)
    ('4 CPUs', '1 CPU', 'think time 500 ns')
    """
    name, _, unit = what.partition(", ")
    if unit:
        return f"{name} {number(place)} {unit}"
    return f"{number(place)} {what[:-1] if place == 1 and what.endswith('s') else what}"


def peaks(series):
    """Where each line is highest, if that is neither its beginning nor its end and clearly above the end.

    Examples
    --------
    >>> peaks({"before": [1, 3, 2], "after": [1, 2, 3]})
    {'before': 1}
    """
    highest = {label: max(range(len(values)), key=lambda k: values[k]) for label, values in series.items()}
    return {
        label: high
        for label, high in highest.items()
        if 0 < high < len(series[label]) - 1 and series[label][high] > 1.02 * series[label][-1]
    }


def throughput(what, places, series, unit, logarithmic, tight):
    """Caption and sentence of throughput over something.

    Parameters
    ----------
    what : str
        What the places are: "CPUs", or with a unit "think time, ns".
    places : list of float
    series : dict of str to sequence of float
    unit : str
    logarithmic : bool
    tight : int
        Points in a tight loop, which have hollow marks.

    Examples
    --------
    >>> throughput("CPUs", [1, 2], {"before": [1.0, 1.5]}, "operations in a microsecond", False, 0)[1]
    'Line chart, operations in a microsecond over 1 to 2 CPUs: before goes from 1 to 1.5.'
    """
    finals = ", ".join(f"{label} {number(float(values[-1]))}" for label, values in series.items())
    caption = f"At {at_place(what, places[-1])}: {finals} {unit}."
    turns, told, highest = [], [], peaks(series)
    for label, values in series.items():
        line = f"{label} goes from {number(float(values[0]))} to {number(float(values[-1]))}"
        if label in highest:
            high = highest[label]
            turns.append(f"{label} is highest at {number(places[high])}, with {number(float(values[high]))}")
            line += f", with {number(float(values[high]))} at {number(places[high])} the highest"
        told.append(line)
    caption += f" {capital('; '.join(turns))}." if turns else ""
    if tight:
        caption += f" {count(tight, 'hollow mark')}: tight loops, where the model is not to be believed."
    axis = " on a logarithmic axis" if logarithmic else ""
    name, _, of = what.partition(", ")
    span = f"{number(places[0])} to {number(places[-1])} {of or name}"
    over = f"{name} from {span}" if of else span
    return caption, f"Line chart, {unit} over {over}{axis}: {'; '.join(told)}."


def time_by_function(table, other, stalled):
    """Caption and sentence of the time by function; ``stalled`` is percent of all CPU time, before and after."""
    known = table.drop(index=other, errors="ignore")
    caption = (
        f"Waiting for lines takes {stalled['before']:.1f} % of all CPU time before and {stalled['after']:.1f} % after"
    )
    sentence = f"Bar chart, percent of all CPU time by function, before and after, {count(len(known), 'function')}"
    if len(known):
        most = (known["after"] - known["before"]).abs().idxmax()
        change = f"{most} goes from {known['before'][most]:.2f} to {known['after'][most]:.2f} %"
        caption += f"; {change}"
        sentence += f": {change}, the largest change"
    return f"{caption}.", f"{sentence}."


def measured_beside_models(table, models, unit):
    """Caption and sentence of measured rows beside models; ``table`` is the figure's own."""
    predicted = table[table["role"] == "predicted"]
    told = []
    for name, row in predicted.iterrows():
        says = [f"{model} {number(row[model], 5)} ({row[f'{model}, error in percent']:+.1f} %)" for model in models]
        told.append(f"{name}: measured {number(float(row['measured']), 6)}, predicted by {', '.join(says)} {unit}")
    roles = [f"{role} {listing(table.index[table['role'] == role])}" for role in ("fitted", "not modelled")]
    roles = [said for said, role in zip(roles, ("fitted", "not modelled")) if (table["role"] == role).any()]
    caption = f"{capital('; '.join(told))}." if told else f"{count(len(table), 'row')}; none is predicted."
    sentence = f"Bar chart, {unit} by row, measured and by {count(len(models), 'method')}: {'; '.join(roles)}"
    return caption, f"{sentence}; {'; '.join(told)}."


def contention(cpus, depth, before, after, lines):
    """The status line of the contention lab.

    Parameters
    ----------
    cpus, depth : int
    before, after : float
        Operations in a microsecond.
    lines : list of (str, float)
        The busiest line before and after, and the mean number of CPUs at it, waiting or being served.

    Examples
    --------
    >>> contention(1, 2, 0.5, 0.5, [("memory_allocated", 0.25)] * 2)
    '1 CPU, depth 2: 0.5 operations in a microsecond before the patch, 0.5 after it, as many. Busiest line before: \
memory_allocated, with 0.25 CPUs at it; after: memory_allocated, with 0.25 CPUs at it.'
    """
    crowds = [f"{name}, with {number(round(there, 2))} CPUs at it" if there else name for name, there in lines]
    return (
        f"{count(cpus, 'CPU')}, depth {depth}: {number(before)} operations in a microsecond before the patch, "
        f"{number(after)} after it, {gain(before, after)}. Busiest line before: {crowds[0]}; after: {crowds[1]}."
    )


def gain(before, after):
    """How many times as many, in words; less than half a percent is no difference.

    Examples
    --------
    >>> gain(2.0, 3.0), gain(2.0, 2.005), gain(0.0, 1.0)
    ('1.5 times as many', 'as many', 'from none')
    """
    if not before:
        return "from none" if after else "as many"
    ratio = after / before
    return "as many" if abs(ratio - 1) < 0.005 else f"{ratio:.2f}".rstrip("0").rstrip(".") + " times as many"


# --- traces of real kernels ------------------------------------------------------------------------------------------
def what_if(table):
    """Caption and sentence of a trace replayed under several policies."""
    rows = [
        f"{row.policy} takes {number(int(row.atomics))} atomics and keeps {number(int(row.slack_max))} pages at most"
        for row in table.itertuples()
    ]
    told = f"The same trace under {count(len(rows), 'policy').replace('policys', 'policies')}: {'; '.join(rows)}."
    return (
        told,
        f"Line chart, pages in stocks over the time of the trace, means of short windows, one line a policy. {told}",
    )


def trace_window(series, first, last):
    """Caption and sentence of a stretch of a recording."""
    peaks = listing([f"{name} {int(max(values))}" for name, values in series.items()])
    caption = f"Events {number(first)} to {number(last)}: the most pages were {peaks}."
    return caption, f"Step chart, pages in stocks and on the counter over the events of a recording. {caption}"


# --- this CPU --------------------------------------------------------------------------------------------------------
def measured_rules(table):
    """Caption and sentence of the measured rules: threads and depth are the index, before and after the columns."""
    threads, depth = table.index[-1]
    last = table.iloc[-1]
    if {"before", "after"} <= set(table.columns) and last.notna().all():
        told = (
            f"With {count(int(threads), 'thread')} and {count(int(depth), 'level')} below the root a pair takes "
            f"{number(float(last['before']))} ns before the patch and {number(float(last['after']))} ns after it."
        )
    else:
        told = "Some runs were discarded, so before and after cannot be compared everywhere."
    return told, f"Bar chart, nanoseconds for a pair of charge and uncharge by depth and number of threads. {told}"


def predicted_runs(kept):
    """Caption and sentence of the grid of predicted runs."""
    errors = kept["error_percent"].abs()
    worst = kept.loc[errors.idxmax()]
    caption = (
        f"{count(len(kept), 'run')}: the prediction is off by {errors.median():.1f} % in the median and by "
        f"{errors.max():.0f} % at most ({worst['policy']}, depth {int(worst['depth'])}, "
        f"{count(int(worst['threads']), 'thread')}, {worst['think_ns']:.0f} ns of thinking)."
    )
    return (
        caption,
        f"Scatter plot, predicted over measured time of a pair, both logarithmic, and a diagonal. {caption}",
    )


def measured(measurement, mine):
    """Whose measurement it is, what it says in one sentence, and what it warns of."""
    machine = measurement["machine"]
    whose = "Your measurement" if mine else f"This is the bundled measurement of {measurement['date']}"
    parts = [f"{whose}, {machine['model']}, {count(machine['cpus'], 'CPU')}."]
    for threads in (2, 1):
        speedup = measurement.speedup(depth=3, threads=threads)
        if speedup is not None:
            parts.append(
                f"A pair at depth 3 with {count(threads, 'thread')} takes {number(speedup, 2)} times as long before "
                "the patch as after it."
            )
            break
    parts += measurement["warnings"]
    return " ".join(parts)
