/*
 * The yardstick of bench.py: memcg_lab's replay without its log, its socket layer, memsw and cgroup v1, in C.
 * Written from memcg_lab/mechanism, rule by rule and under the same names; no kernel text is in here.
 *
 * bench.py compiles this file once a policy and a layout:
 *   -DPATCHED=0   v4.13: uncharge to the counters, no cap          -DPATCHED=1   v4.14: to the stock, capped
 *   -DSOA=0       the same arrays of records that numba works on   -DSOA=1       one array a field
 */
#include <stdint.h>

typedef int64_t i64;

enum { BATCH = 32, RETRIES = 5, ENOMEM = -12, EBUSY = -16 };
static const i64 PAGE_COUNTER_MAX = INT64_MAX / 4096, NR_PAGES_MAX = INT32_MAX;
enum { SOFTIRQ = 1, NORETRY = 2, NOFAIL = 4, DYING = 8, IN_OOM = 16 };
enum { HIT, MISS, DRAIN_OTHER_MEMCG, DRAIN_CAP, DRAIN_LOCAL_CALL, DRAIN_ALL_CALL, DRAIN_CPU_DEAD, PAGES_DRAINED,
       REFUSED, FORCED, NOMEM, CSS_CALLS, NR_WORK };
enum { RET, RECLAIM, OOM, REMOTE_WORKS, OVER_HIGH, HIGH_WORK, WARN, UNDERFLOW };
enum { CHARGE_SKMEM, UNCHARGE_SKMEM, TRY_CHARGE, CANCEL_CHARGE, DRAIN_LOCAL, DRAIN_ALL, CPU_DEAD, SET_LIMIT, SET_MAX,
       SET_HIGH, SK_MEM_RECLAIM_PARTIAL = 18 };
enum { BAD_OP = 1, BAD_CPU, BAD_MEMCG, BAD_NR, BAD_ROOT, BAD_UNDERFLOW, BAD_SOCKET };

#define COUNTER_FIELDS(F) F(count) F(limit) F(parent) F(watermark) F(failcnt) F(add) F(sub) F(xchg)
#define MEMCG_FIELDS(F) F(css) F(sock_held) F(held) F(high) F(ev_max) F(ev_oom) F(tcpmem_pressure) F(socket_pressure)
#define WORD(name) i64 name;
#define COLUMN(name) i64 *name;

/* --- layout: STATE is all a rule gets; COUNTER(c), GROUP(m), STOCK(cpu), OP(k) name one field of one row --- */
#if SOA
struct state {
	COUNTER_FIELDS(COLUMN)
	MEMCG_FIELDS(COLUMN)
	i64 *stock_memcg, *stock_nr_pages;
	i64 *sock, *work, *total;
	i64 nr_memcg, nr_cpu, root;
};
struct ops { uint8_t *op, *ctx; uint16_t *cpu; int32_t *memcg; i64 *nr; };
#define COUNTER(c, field) (st->field[c])
#define GROUP(m, field) (st->field[m])
#define STOCK(cpu, field) (st->stock_##field[cpu])
#define OP(k, field) (ops.field[k])
#else
struct counter { COUNTER_FIELDS(WORD) };
struct memcg { MEMCG_FIELDS(WORD) };
struct stock { i64 memcg, nr_pages; };
struct op { uint8_t op, ctx; uint16_t cpu; int32_t memcg; i64 nr; };
struct state {
	struct counter *counter;
	struct memcg *memcg;
	struct stock *stock;
	i64 *sock, *work, *total;
	i64 nr_memcg, nr_cpu, root;
};
struct ops { struct op *op; };
#define COUNTER(c, field) (st->counter[c].field)
#define GROUP(m, field) (st->memcg[m].field)
#define STOCK(cpu, field) (st->stock[cpu].field)
#define OP(k, field) (ops.op[k].field)
#endif

#define STATE const struct state *const st
#define WORK(cpu, kind) (st->work[(cpu) * NR_WORK + (kind)])
#define SOCK(cpu, m) (st->sock[(cpu) * st->nr_memcg + (m)])
#define SHORT static inline __attribute__((always_inline))
#define SLOW static __attribute__((noinline))

/* --- page_counter --- */
SHORT void page_counter_cancel(STATE, i64 c, i64 n)
{
	i64 before = COUNTER(c, count);

	COUNTER(c, count) = before - n;
	COUNTER(c, sub)++;
	if (before < n)
		st->total[WARN]++;
}

SHORT void page_counter_uncharge(STATE, i64 c, i64 n)
{
	for (; c >= 0; c = COUNTER(c, parent))
		page_counter_cancel(st, c, n);
}

SHORT void page_counter_charge(STATE, i64 c, i64 n)
{
	for (; c >= 0; c = COUNTER(c, parent)) {
		i64 sum = COUNTER(c, count) + n;

		COUNTER(c, count) = sum;
		COUNTER(c, add)++;
		if (sum > COUNTER(c, watermark))
			COUNTER(c, watermark) = sum;
	}
}

/* the row that refused, or -1 */
SHORT i64 page_counter_try_charge(STATE, i64 leaf, i64 n)
{
	for (i64 c = leaf; c >= 0; c = COUNTER(c, parent)) {
		i64 sum = COUNTER(c, count) + n;

		COUNTER(c, count) = sum;
		COUNTER(c, add)++;
		if (sum > COUNTER(c, limit)) {
			COUNTER(c, count) = sum - n;
			COUNTER(c, sub)++;
			COUNTER(c, failcnt)++;
			for (i64 undo = leaf; undo != c; undo = COUNTER(undo, parent))
				page_counter_cancel(st, undo, n);
			return c;
		}
		if (sum > COUNTER(c, watermark))
			COUNTER(c, watermark) = sum;
	}
	return -1;
}

/* --- stock --- */
SHORT void css_change(STATE, i64 cpu, i64 m, i64 n)
{
	GROUP(m, css) += n;
	WORK(cpu, CSS_CALLS)++;
}

SHORT int consume(STATE, i64 cpu, i64 m, i64 n)
{
	if (n > BATCH || STOCK(cpu, memcg) != m || STOCK(cpu, nr_pages) < n)
		return 0;
	STOCK(cpu, nr_pages) -= n;
	return 1;
}

SHORT void drain(STATE, i64 cpu, i64 cause)
{
	i64 n = STOCK(cpu, nr_pages);

	if (n != 0) {
		page_counter_uncharge(st, STOCK(cpu, memcg), n);
		css_change(st, cpu, STOCK(cpu, memcg), -n);
		STOCK(cpu, nr_pages) = 0;
		WORK(cpu, cause)++;
		WORK(cpu, PAGES_DRAINED) += n;
	}
	STOCK(cpu, memcg) = -1;
}

SHORT void refill(STATE, i64 cpu, i64 m, i64 n)
{
	if (STOCK(cpu, memcg) != m) {
		drain(st, cpu, DRAIN_OTHER_MEMCG);
		STOCK(cpu, memcg) = m;
	}
	STOCK(cpu, nr_pages) += n;
#if PATCHED
	if (STOCK(cpu, nr_pages) > BATCH)
		drain(st, cpu, DRAIN_CAP);
#endif
}

SHORT int is_descendant(STATE, i64 m, i64 root)
{
	while (m >= 0 && m != root)
		m = COUNTER(m, parent);
	return m >= 0;
}

SLOW void drain_all(STATE, i64 cpu, i64 root)
{
	for (i64 other = 0; other < st->nr_cpu; other++) {
		i64 m = STOCK(other, memcg);

		if (m < 0 || STOCK(other, nr_pages) == 0 || !is_descendant(st, m, root))
			continue;
		if (other != cpu)
			st->total[REMOTE_WORKS]++;
		drain(st, other, DRAIN_ALL_CALL);
	}
}

/* --- memcontrol; nothing can be reclaimed, as with the default rule --- */
SHORT void check_high(STATE, i64 m, i64 ctx, i64 batch)
{
	for (; m >= 0; m = COUNTER(m, parent))
		if (COUNTER(m, count) > GROUP(m, high)) {
			st->total[ctx & SOFTIRQ ? HIGH_WORK : OVER_HIGH] += ctx & SOFTIRQ ? 1 : batch;
			return;
		}
}

SHORT void cancel_charge(STATE, i64 cpu, i64 m, i64 n)
{
	if (m == st->root)
		return;
	page_counter_uncharge(st, m, n);
	css_change(st, cpu, m, -n);
}

SLOW i64 charge_slow(STATE, i64 cpu, i64 m, i64 ctx, i64 n)
{
	i64 batch = n > BATCH ? n : BATCH, retries = RETRIES, over;
	int drained = 0, force = 0;

	for (;;) {
		WORK(cpu, MISS)++;
		over = page_counter_try_charge(st, m, batch);
		if (over < 0) {
			css_change(st, cpu, m, batch);
			if (batch > n)
				refill(st, cpu, m, batch - n);
			check_high(st, m, ctx, batch);
			return 0;
		}
		if (batch > n) {
			batch = n;
		} else if (ctx & DYING) {
			force = 1;
			break;
		} else if (ctx & (IN_OOM | SOFTIRQ)) {
			break;
		} else {
			i64 margin = COUNTER(over, limit) - COUNTER(over, count);

			GROUP(over, ev_max)++;
			st->total[RECLAIM]++;
			if ((margin > 0 ? margin : 0) >= n) {
				;
			} else if (!drained) {
				drain_all(st, cpu, over);
				drained = 1;
			} else if (ctx & NORETRY) {
				break;
			} else if (retries > 0) {
				retries--;
			} else if (ctx & NOFAIL) {
				break;
			} else {
				GROUP(over, ev_oom)++;
				st->total[OOM]++;
				break;
			}
		}
		if (consume(st, cpu, m, n)) {
			WORK(cpu, HIT)++;
			return 0;
		}
	}
	if (!force && !(ctx & NOFAIL)) {
		WORK(cpu, NOMEM)++;
		return ENOMEM;
	}
	WORK(cpu, FORCED)++;
	page_counter_charge(st, m, n);
	css_change(st, cpu, m, n);
	return 0;
}

SHORT i64 try_charge(STATE, i64 cpu, i64 m, i64 ctx, i64 n)
{
	if (m == st->root)
		return 0;
	if (consume(st, cpu, m, n)) {
		WORK(cpu, HIT)++;
		return 0;
	}
	return charge_slow(st, cpu, m, ctx, n);
}

SLOW i64 charge_nofail(STATE, i64 cpu, i64 m, i64 ctx, i64 n)
{
	WORK(cpu, REFUSED)++;
	try_charge(st, cpu, m, ctx | NOFAIL, n);
	return 0;
}

SHORT i64 charge_skmem(STATE, i64 cpu, i64 m, i64 ctx, i64 n)
{
	SOCK(cpu, m) += n;
	return try_charge(st, cpu, m, ctx, n) == 0 ? 1 : charge_nofail(st, cpu, m, ctx, n);
}

SHORT void uncharge_skmem(STATE, i64 cpu, i64 m, i64 n)
{
	SOCK(cpu, m) -= n;
#if PATCHED
	refill(st, cpu, m, n);
#else
	page_counter_uncharge(st, m, n);
	css_change(st, cpu, m, -n);
#endif
}

/* --- the rarer operations: writes *ret; answers the reason of a refusal, 0 if there is none --- */
SLOW i64 memcg_op(STATE, i64 code, i64 cpu, i64 m, i64 nr, i64 *ret, i64 *allowed)
{
	i64 pages = nr == -1 ? PAGE_COUNTER_MAX : nr, reclaims = RETRIES;
	int drained = 0;

	*ret = 0;
	if (code == DRAIN_LOCAL || code == CPU_DEAD) {
		drain(st, cpu, code == CPU_DEAD ? DRAIN_CPU_DEAD : DRAIN_LOCAL_CALL);
		return 0;
	}
	if (m < 0 || m >= st->nr_memcg) {
		*allowed = st->nr_memcg;
		return BAD_MEMCG;
	}
	if (code == DRAIN_ALL) {
		drain_all(st, cpu, m);
		return 0;
	}
	if (nr < -1 || nr > PAGE_COUNTER_MAX) {
		*allowed = PAGE_COUNTER_MAX;
		return BAD_NR;
	}
	if (code == SET_HIGH) {
		GROUP(m, high) = pages;
		if (COUNTER(m, count) > pages && pages < PAGE_COUNTER_MAX)
			st->total[RECLAIM]++;
		return 0;
	}
	if (code == SET_LIMIT && COUNTER(m, count) > pages) {
		*ret = EBUSY;
		return 0;
	}
	COUNTER(m, limit) = pages;
	COUNTER(m, xchg)++;
	while (code == SET_MAX && COUNTER(m, count) > pages) {
		if (!drained) {
			drain_all(st, cpu, m);
			drained = 1;
		} else if (reclaims > 0) {
			st->total[RECLAIM]++;
			reclaims--;
		} else {
			GROUP(m, ev_oom)++;
			break;
		}
	}
	return 0;
}

#define STOP(why, what)                              \
	do {                                         \
		answer[1] = (why);                   \
		answer[2] = (what);                  \
		return k;                            \
	} while (0)

/* operations done; answer[1] and answer[2]: why it stopped (0 = at the end), and what is allowed */
i64 replay(const struct state *given, const struct ops *given_ops, i64 size, i64 refuse, i64 *answer)
{
	const struct state mine = *given;
	const struct ops ops = *given_ops;
	STATE = &mine;

	answer[1] = answer[2] = 0;
	for (i64 k = 0; k < size; k++) {
		i64 code = OP(k, op), ctx = OP(k, ctx), cpu = OP(k, cpu), m = OP(k, memcg), nr = OP(k, nr), ret = 0;

		if (cpu >= st->nr_cpu)
			STOP(BAD_CPU, st->nr_cpu);
		if (code <= CANCEL_CHARGE) {
			if (m < 0 || m >= st->nr_memcg)
				STOP(BAD_MEMCG, st->nr_memcg);
			if (nr < 1 || nr > NR_PAGES_MAX)
				STOP(BAD_NR, NR_PAGES_MAX);
			if (code <= UNCHARGE_SKMEM && m == st->root)
				STOP(BAD_ROOT, st->root);
			if (code == CHARGE_SKMEM) {
				GROUP(m, sock_held) += nr;
				ret = charge_skmem(st, cpu, m, ctx, nr);
			} else if (code == UNCHARGE_SKMEM) {
				if (nr > GROUP(m, sock_held)) {
					if (refuse)
						STOP(BAD_UNDERFLOW, GROUP(m, sock_held));
					st->total[UNDERFLOW]++;
				}
				GROUP(m, sock_held) -= nr;
				uncharge_skmem(st, cpu, m, nr);
			} else if (code == TRY_CHARGE) {
				ret = try_charge(st, cpu, m, ctx, nr);
				if (ret == 0 && m != st->root)
					GROUP(m, held) += nr;
			} else {
				if (m != st->root) {
					if (nr > GROUP(m, held)) {
						if (refuse)
							STOP(BAD_UNDERFLOW, GROUP(m, held));
						st->total[UNDERFLOW]++;
					}
					GROUP(m, held) -= nr;
				}
				cancel_charge(st, cpu, m, nr);
			}
		} else {
			i64 allowed = 0, why;

			if (code > SK_MEM_RECLAIM_PARTIAL)
				STOP(BAD_OP, code);
			why = code <= SET_HIGH ? memcg_op(st, code, cpu, m, nr, &ret, &allowed) : BAD_SOCKET;
			if (why)
				STOP(why, allowed);
		}
		st->total[RET] = ret;
	}
	return size;
}
