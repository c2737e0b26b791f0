/*
 * The loops of memcg_lab/hardware/counters.py in C11: the same arrays, the same rules, the same clock.
 * PATCHED=0: v4.13, PATCHED=1: v4.14. Threads come from the caller, one call a thread.
 */
#include <stdatomic.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <immintrin.h>
#include <x86intrin.h>
#endif

#define LINE 128
#define BLOCK 64

typedef struct {
	_Atomic int64_t count;
	int64_t parent;
	_Atomic int64_t watermark;
	char rest[LINE - 24];
} counter_t;

typedef struct {
	int64_t begin, end;
	_Atomic int64_t done;
	int64_t value;
	char rest[LINE - 32];
} report_t;

typedef struct {
	counter_t *counter;
	_Atomic int64_t *stock;
	int64_t stride, leaf, batch, nr_pages, think;
} state_t;

static inline void serialize(void)
{
#if defined(__x86_64__)
	_mm_lfence();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

static inline int64_t ticks(void)
{
#if defined(__x86_64__)
	return (int64_t)__rdtsc();
#elif defined(__aarch64__)
	int64_t now;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(now));
	return now;
#else
#error "no time-stamp counter is known for this CPU"
#endif
}

static inline void wait_a_little(void)
{
#if defined(__x86_64__)
	_mm_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline int64_t look(_Atomic int64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void put(_Atomic int64_t *word, int64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static inline int64_t work(int64_t rounds, int64_t value)
{
	if (rounds > 0) {
		for (int64_t i = 0; i < rounds; i++)
			value = (int64_t)((uint64_t)(value ^ (value >> 7)) * 6364136223846793005u);
		serialize();
	}
	return value;
}

static inline int64_t add_up(const state_t *st, int64_t nr_pages)
{
	int64_t new = 0;

	for (int64_t c = st->leaf; c >= 0; c = st->counter[c].parent) {
		new = atomic_fetch_add(&st->counter[c].count, nr_pages) + nr_pages;
		if (new > look(&st->counter[c].watermark))
			put(&st->counter[c].watermark, new);
	}
	return new;
}

static inline int64_t take_off(const state_t *st, int64_t nr_pages)
{
	int64_t new = 0;

	for (int64_t c = st->leaf; c >= 0; c = st->counter[c].parent)
		new = atomic_fetch_add(&st->counter[c].count, -nr_pages) - nr_pages;
	return new;
}

static inline int64_t refill(const state_t *st, int64_t at, int64_t nr_pages)
{
	int64_t pages = look(&st->stock[at]) + nr_pages;

	if (PATCHED && pages > st->batch) {
		put(&st->stock[at], 0);
		return take_off(st, pages);
	}
	put(&st->stock[at], pages);
	return pages;
}

static inline int64_t charge(const state_t *st, int64_t me)
{
	int64_t at = me * st->stride, pages = look(&st->stock[at]), batch, new;

	if (st->nr_pages <= pages && st->nr_pages <= st->batch) {
		put(&st->stock[at], pages - st->nr_pages);
		return pages;
	}
	batch = st->batch > st->nr_pages ? st->batch : st->nr_pages;
	new = add_up(st, batch);
	if (batch > st->nr_pages)
		refill(st, at, batch - st->nr_pages);
	return new;
}

static inline int64_t uncharge(const state_t *st, int64_t me)
{
	if (PATCHED)
		return refill(st, me * st->stride, st->nr_pages);
	return take_off(st, st->nr_pages);
}

void pairs(const state_t *given, _Atomic int64_t *gate, report_t *report, int64_t threads, int64_t me, int64_t steps)
{
	const state_t own = *given, *st = &own;
	_Atomic int64_t *stop = gate + LINE / 8;
	int64_t value = me, done = 0;

	atomic_fetch_add(gate, 1);
	while (atomic_load_explicit(gate, memory_order_acquire) < threads && look(stop) == 0)
		wait_a_little();
	serialize();
	report[me].begin = ticks();
	while (done < steps && look(stop) == 0) {
		int64_t until = steps - done < BLOCK ? steps : done + BLOCK;

		for (int64_t i = done; i < until; i++) {
			value = work(st->think, value ^ charge(st, me));
			value = work(st->think, value ^ uncharge(st, me));
		}
		done = until;
		atomic_store_explicit(&report[me].done, done, memory_order_release);
	}
	serialize();
	report[me].end = ticks();
	report[me].value = value;
}
