/*
 * The yardstick of machine_bench.py: memcg_lab's simulation of cache lines, in C, on the same arrays of records.
 * Written from memcg_lab/machine and memcg_lab/mechanism, rule by rule and under the same names; no kernel text is here.
 *
 * The mechanism says at once which lines an operation touches; there is no step log in between. A charge that a limit
 * refuses ends the run: nothing in the benchmark has a limit.
 *
 *   -DPATCHED=0   v4.13: uncharge to the counters, no cap          -DPATCHED=1   v4.14: to the stock, capped
 */
#include <stdint.h>

typedef int64_t i64;

enum { BATCH = 32, CPU_BITS = 10, SPREAD_BITS = 16, SPREAD_ROWS = 1024, TOUCHES_MAX = 4 };
static const i64 NEVER = (i64)1 << 51;
enum { SOFTIRQ = 1 };
enum { HIT, MISS, DRAIN_OTHER_MEMCG, DRAIN_CAP, DRAIN_LOCAL_CALL, DRAIN_ALL_CALL, DRAIN_CPU_DEAD, PAGES_DRAINED,
       REFUSED, FORCED, NOMEM, CSS_CALLS, NR_WORK };
enum { RET, RECLAIM, OOM, REMOTE_WORKS, OVER_HIGH, HIGH_WORK, WARN, UNDERFLOW };
enum { CHARGE_SKMEM, UNCHARGE_SKMEM, TRY_CHARGE, CANCEL_CHARGE };
enum { RMW, LOAD, STORE };
enum { ATOMIC, QUEUE_LOCK, TICKET_LOCK };
enum { ATOMICS, LOADS, STORES, BY_CLEAN, BY_SMT, BY_NEAR, BY_SAME, BY_CROSS, BY_FAR, WAITED, OCCUPIED, NR_TRAFFIC };
enum { AT_LOCAL, AT_TRANSFER, AT_WAIT, NR_BOOKED };
enum { COST_LOCAL, COST_CLEAN, COST_OWN, COST_SMT, COST_NEAR, COST_SAME, COST_CROSS, COST_FAR };
enum { TOO_MANY_STEPS = 1, GAVE_BACK_TOO_MUCH, OVER_LIMIT };

struct counter { i64 count, limit, parent, watermark, failcnt, add, sub, xchg; };
struct memcg { i64 css, sock_held, held, high, ev_max, ev_oom, tcpmem_pressure, socket_pressure; };
struct stock { i64 memcg, nr_pages; };
struct op { uint8_t op, ctx; uint16_t cpu; int32_t memcg; i64 nr; };
struct cpu {
	i64 clock, rng, first, ops, at, own, todo, done, finished, place, cache, socket, hops, queue, until, next;
};
struct line {
	i64 free_at;
	int32_t owner, reader, dirty, queued, head, tail;
	i64 spare, traffic[NR_TRAFFIC];
};

/* What the steps that touch a counter visit of it; rows of step_table. */
struct touched { i64 function, own, charged, n, entry[TOUCHES_MAX]; };

struct machine {
	struct counter *counter;
	struct memcg *memcg;
	struct stock *stock;
	i64 *sock, *work, *total;
	struct cpu *cpu;
	i64 *pending;
	struct line *line;
	i64 *copies, *groups, *booked; /* a bit for each CPU, in so many words a line and a group */
	struct op *ops;
	i64 *gaps, *spread, *cost, *tree;
	struct touched *try_add, *try_watermark, *cancel;
	i64 nr_cpu, nr_memcg, rows, words, root;
	i64 lines, count, parent, allocated, walks, lock, repeat;
	/* functions, by their row of booked */
	i64 fn_sock_add, fn_sock_sub, fn_consume, fn_refill, fn_drain, fn_css_get, fn_css_put;
	i64 fn_raise, fn_reduce, fn_timer, fn_try_charge, fn_other;
};

#define MACHINE const struct machine *const m
#define SHORT static inline __attribute__((always_inline))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* --- the loser tree --- */
SHORT i64 build(MACHINE)
{
	i64 n = 1, *tree = m->tree;

	while (n < m->nr_cpu)
		n *= 2;
	for (i64 i = 0; i < n; i++) {
		int done = i >= m->nr_cpu || m->cpu[i].at == m->cpu[i].ops;

		tree[3 * n + i] = ((done ? NEVER : m->cpu[i].clock) << CPU_BITS) | (i & ((1 << CPU_BITS) - 1));
	}
	for (i64 k = n / 2; k > 0; k /= 2)
		for (i64 i = 0; i < k; i++) {
			i64 one = tree[3 * n + 2 * i], other = tree[3 * n + 2 * i + 1];

			tree[3 * n + i] = MIN(one, other);
			tree[k + i] = MAX(one, other);
		}
	tree[0] = tree[3 * n];
	return n;
}

SHORT void replace_top(i64 *tree, i64 n, i64 me, i64 key)
{
	for (i64 i = (n + me) >> 1; i > 0; i >>= 1) {
		i64 other = tree[i];

		tree[i] = MAX(other, key);
		key = MIN(other, key);
	}
	tree[0] = key;
}

SHORT i64 next_gap(MACHINE, struct cpu *c, i64 k)
{
	uint64_t x = (uint64_t)c->rng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	c->rng = (i64)x;
	return (m->gaps[k] * m->spread[(x >> 20) & (SPREAD_ROWS - 1)]) >> SPREAD_BITS;
}

/* --- the mechanism: an operation changes the state and lists the lines it visits --- */
struct todo {
	i64 *pending, n, rows, own, cpu;
};

SHORT void visit(struct todo *d, i64 line, i64 function, i64 kind)
{
	if (d->n < d->rows)
		d->pending[d->n] = line << 7 | function << 2 | kind;
	d->n++;
}

SHORT void visit_counter(MACHINE, struct todo *d, i64 c, const struct touched *v)
{
	i64 first = (1 + c * m->lines) << 7;

	for (i64 i = 0; i < v->n; i++) {
		if (d->n < d->rows)
			d->pending[d->n] = v->entry[i] + first;
		d->n++;
	}
}

SHORT void walk(MACHINE, struct todo *d, i64 c, i64 word, i64 function)
{
	for (; c >= 0; c = m->counter[c].parent)
		visit(d, 1 + c * m->lines + word, function, LOAD);
}

SHORT void own_line(MACHINE, struct todo *d, i64 function)
{
	d->own += m->cost[COST_OWN];
	m->booked[function * NR_BOOKED + AT_LOCAL] += m->cost[COST_OWN];
}

SHORT void css_change(MACHINE, struct todo *d, i64 memcg, i64 n, i64 function)
{
	m->memcg[memcg].css += n;
	m->work[d->cpu * NR_WORK + CSS_CALLS]++;
	own_line(m, d, function);
}

SHORT void uncharge(MACHINE, struct todo *d, i64 memcg, i64 n)
{
	for (i64 c = memcg; c >= 0; c = m->counter[c].parent) {
		struct counter *counter = &m->counter[c];

		if (counter->count < n)
			m->total[WARN]++;
		counter->count -= n;
		counter->sub++;
		visit_counter(m, d, c, m->cancel);
	}
	css_change(m, d, memcg, -n, m->fn_css_put);
}

SHORT void drain(MACHINE, struct todo *d, i64 cause)
{
	struct stock *stock = &m->stock[d->cpu];
	i64 n = stock->nr_pages, *work = &m->work[d->cpu * NR_WORK];

	if (n != 0) {
		uncharge(m, d, stock->memcg, n);
		stock->nr_pages = 0;
		own_line(m, d, m->fn_drain);
		work[cause]++;
		work[PAGES_DRAINED] += n;
	}
	if (stock->memcg != -1) {
		stock->memcg = -1;
		own_line(m, d, m->fn_drain);
	}
}

SHORT void refill(MACHINE, struct todo *d, i64 memcg, i64 n)
{
	struct stock *stock = &m->stock[d->cpu];

	if (stock->memcg != memcg) {
		drain(m, d, DRAIN_OTHER_MEMCG);
		stock->memcg = memcg;
		own_line(m, d, m->fn_refill);
	}
	stock->nr_pages += n;
	own_line(m, d, m->fn_refill);
#if PATCHED
	if (stock->nr_pages > BATCH)
		drain(m, d, DRAIN_CAP);
#endif
}

/* 0, or 1 where a limit refused */
SHORT int try_charge(MACHINE, struct todo *d, i64 memcg, i64 ctx, i64 n)
{
	struct stock *stock = &m->stock[d->cpu];
	i64 *work = &m->work[d->cpu * NR_WORK], batch = MAX(n, BATCH);

	if (memcg == m->root)
		return 0;
	if (n <= BATCH) {
		own_line(m, d, m->fn_consume);
		if (stock->memcg == memcg && stock->nr_pages >= n) {
			stock->nr_pages -= n;
			work[HIT]++;
			return 0;
		}
	}
	work[MISS]++;
	for (i64 c = memcg; c >= 0; c = m->counter[c].parent) {
		struct counter *counter = &m->counter[c];

		counter->count += batch;
		counter->add++;
		visit_counter(m, d, c, m->try_add);
		if (counter->count > counter->limit)
			return 1;
		if (counter->count > counter->watermark) {
			counter->watermark = counter->count;
			visit_counter(m, d, c, m->try_watermark);
		}
	}
	css_change(m, d, memcg, batch, m->fn_css_get);
	if (batch > n)
		refill(m, d, memcg, batch - n);
	walk(m, d, memcg, m->count, m->fn_try_charge);
	for (i64 c = memcg; c >= 0; c = m->counter[c].parent)
		if (m->counter[c].count > m->memcg[c].high) {
			m->total[ctx & SOFTIRQ ? HIGH_WORK : OVER_HIGH] += ctx & SOFTIRQ ? 1 : batch;
			break;
		}
	return 0;
}

/* 0, or why the run ends */
static __attribute__((noinline)) int begin(MACHINE, i64 me, struct cpu *c)
{
	const struct op *op = &m->ops[c->first + c->at];
	i64 code = op->op, memcg = op->memcg, n = op->nr;
	struct memcg *group = &m->memcg[memcg];
	struct todo todo = { m->pending + me * m->rows, 0, m->rows, 0, me }, *d = &todo;
	int over = 0;

	if (code <= UNCHARGE_SKMEM && m->allocated)
		visit(d, 0, code == CHARGE_SKMEM ? m->fn_raise : m->fn_reduce, RMW);
	if (code == CHARGE_SKMEM) {
		group->sock_held += n;
		m->sock[me * m->nr_memcg + memcg] += n;
		own_line(m, d, m->fn_sock_add);
		over = try_charge(m, d, memcg, op->ctx, n);
	} else if (code == UNCHARGE_SKMEM) {
		if (n > group->sock_held)
			return GAVE_BACK_TOO_MUCH;
		group->sock_held -= n;
		m->sock[me * m->nr_memcg + memcg] -= n;
		own_line(m, d, m->fn_sock_sub);
#if PATCHED
		refill(m, d, memcg, n);
#else
		uncharge(m, d, memcg, n);
#endif
		if (m->walks > 0)
			walk(m, d, memcg, m->parent, m->fn_reduce);
		if (m->walks > 1)
			walk(m, d, memcg, m->parent, m->fn_timer);
	} else if (memcg != m->root) {
		if (code == TRY_CHARGE) {
			over = try_charge(m, d, memcg, op->ctx, n);
			group->held += n;
		} else {
			if (n > group->held)
				return GAVE_BACK_TOO_MUCH;
			group->held -= n;
			uncharge(m, d, memcg, n);
		}
	}
	c->own = todo.own;
	c->done = 0;
	c->todo = todo.n;
	return over ? OVER_LIMIT : todo.n > m->rows ? TOO_MANY_STEPS : 0;
}

/* --- cache lines --- */
SHORT i64 distance(MACHINE, i64 one, i64 other)
{
	i64 apart = m->cpu[one].place ^ m->cpu[other].place, hops = m->cpu[other].hops;

	if (apart >> 2 * CPU_BITS)
		return hops >= 0 && m->cpu[one].hops != hops ? COST_FAR : COST_CROSS;
	return COST_SMT + (apart != 0) + (apart >> CPU_BITS != 0);
}

SHORT int copied(MACHINE, i64 number, const struct line *line, i64 cpu)
{
	return line->dirty ? line->owner == cpu : m->copies[number * m->words + (cpu >> 6)] >> (cpu & 63) & 1;
}

SHORT int copied_in(MACHINE, i64 number, i64 group)
{
	i64 inside = 0;

	for (i64 word = 0; word < m->words; word++)
		inside |= m->copies[number * m->words + word] & m->groups[group * m->words + word];
	return inside != 0;
}

SHORT int copied_outside(MACHINE, i64 number, i64 group)
{
	i64 outside = 0;

	for (i64 word = 0; word < m->words; word++)
		outside |= m->copies[number * m->words + word] & ~m->groups[group * m->words + word];
	return outside != 0;
}

SHORT void add_copy(MACHINE, i64 number, i64 cpu)
{
	m->copies[number * m->words + (cpu >> 6)] |= (i64)1 << (cpu & 63);
}

SHORT i64 farthest_copy(MACHINE, i64 number, const struct cpu *c)
{
	if (copied_outside(m, number, c->socket))
		return c->hops >= 0 && copied_outside(m, number, c->hops) ? COST_FAR : COST_CROSS;
	return c->cache != c->socket && copied_outside(m, number, c->cache) ? COST_SAME : 0;
}

/* --- the queue of a ticket lock --- */
SHORT void leave_first(MACHINE, struct line *line)
{
	struct cpu *first = &m->cpu[line->head];

	first->queue = -1;
	line->head = first->next;
	line->queued--;
}

SHORT i64 waiting(MACHINE, struct line *line, i64 t)
{
	while (line->queued > 0 && m->cpu[line->head].until <= t)
		leave_first(m, line);
	return line->queued;
}

SHORT void join(MACHINE, i64 me, i64 number, struct line *line, i64 until)
{
	struct cpu *c = &m->cpu[me];

	while (c->queue >= 0)
		leave_first(m, &m->line[c->queue]);
	if (line->queued > 0)
		m->cpu[line->tail].next = me;
	else
		line->head = me;
	line->tail = me;
	line->queued++;
	c->queue = number;
	c->until = until;
}

SHORT i64 touch(MACHINE, i64 me, i64 entry, i64 t)
{
	i64 kind = entry & 3, function = (entry >> 2) & 31, number = entry >> 7;
	struct line *line = &m->line[number];
	i64 *traffic = line->traffic, *booked = &m->booked[function * NR_BOOKED];
	i64 start = t, way = 0, local = 0, end, how;

	if (kind == LOAD) {
		if (copied(m, number, line, me))
			return t;
		traffic[LOADS]++;
		if (line->owner >= 0) {
			if (!line->dirty && copied_in(m, number, m->cpu[me].cache)) {
				way = m->cost[COST_CLEAN];
				traffic[BY_CLEAN]++;
			} else {
				start = MAX(t, line->free_at);
				how = distance(m, line->owner, me);
				way = m->cost[how];
				traffic[how + 1]++;
				line->free_at = start + way;
				traffic[OCCUPIED] += way;
				if (line->dirty) {
					line->dirty = 0;
					add_copy(m, number, line->owner);
				}
			}
			line->reader = me;
		}
		add_copy(m, number, me);
		end = start + way;
	} else {
		i64 giver = line->owner == me && !line->dirty ? line->reader : line->owner;

		start = MAX(t, line->free_at);
		if (giver >= 0 && giver != me) {
			how = distance(m, giver, me);
			if (!line->dirty)
				how = MAX(how, farthest_copy(m, number, &m->cpu[me]));
			way = m->cost[how];
			traffic[how + 1]++;
		}
		if (kind == RMW) {
			traffic[ATOMICS]++;
			local = m->cost[COST_LOCAL];
			if (m->lock == QUEUE_LOCK) {
				local *= 2;
				if (start > t)
					way *= 2;
			} else if (m->lock == TICKET_LOCK) {
				local *= 2;
				way += way * waiting(m, line, t) / 2;
				join(m, me, number, line, start + way + local);
			}
		} else {
			traffic[STORES]++;
		}
		line->free_at = start + way + local;
		traffic[OCCUPIED] += way + local;
		line->owner = me;
		if (!line->dirty) {
			line->dirty = 1;
			for (i64 word = 0; word < m->words; word++)
				m->copies[number * m->words + word] = 0;
		}
		end = kind == RMW ? line->free_at : t;
	}
	if (end > t) {
		booked[AT_LOCAL] += local;
		booked[AT_TRANSFER] += way;
		booked[AT_WAIT] += start - t;
		traffic[WAITED] += start - t;
	}
	return end;
}

/* Go on until a time in ps; 0, or why the run ended. */
i64 run(const struct machine *given, i64 until)
{
	const struct machine local = *given;
	MACHINE = &local;
	i64 n = build(m);

	for (;;) {
		i64 key = m->tree[0], me = key & ((1 << CPU_BITS) - 1), t = key >> CPU_BITS, now = t;
		struct cpu *c = &m->cpu[me];
		const i64 *pending = m->pending + me * m->rows;

		if (t >= until)
			return 0;
		if (c->done == c->todo) {
			int why = begin(m, me, c);

			if (why)
				return why;
		}
		while (t == now && c->done < c->todo)
			t = touch(m, me, pending[c->done++], t);
		if (c->done == c->todo) {
			c->finished++;
			c->at++;
			if (c->at == c->ops && m->repeat)
				c->at = 0;
			if (c->at < c->ops) {
				i64 gap = next_gap(m, c, c->first + c->at);

				m->booked[m->fn_other * NR_BOOKED + AT_LOCAL] += gap;
				t += gap;
			}
			t += c->own;
		}
		c->clock = t;
		replace_top(m->tree, n, me, (c->at == c->ops ? NEVER : t) << CPU_BITS | me);
	}
}
