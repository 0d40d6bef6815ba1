/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The short way of packets in the middle of IPv4 flows. Each CPU has a table of
 * its own of the flows whose packets come by it, one line of memory each with
 * all that a packet needs: to find a flow in the hash map touches three or more.
 *
 * An entry says what its flow said less than REFRESH_TICKS ago. Then the next
 * packet goes the long way, which notes the time in the flow and follows its
 * state, and so does whatever is not plain: SYN, FIN, RST, fragments, options,
 * what does not fit. Who ends a flow, or takes it out of the state in which
 * nothing is to be followed, takes its entry away: flow.fast says which CPU has
 * it, one at most. */
#pragma once

#define FAST_WAYS 2
#define FAST_CPUS 255 /* flow.fast is a byte: those beyond have no table */

/* How many sets each CPU has, as a power of two. Written before the program is
 * loaded. */
volatile const __u32 fast_bits = 8;

/* kind is what a packet's protocol and the flow's flags are; of a free entry,
 * 0. A word that is written last, and first by who takes the entry away. */
#define FAST_KIND(protocol, flags) ((__u32)(protocol) << 8 | (flags))

struct fast_set {
	struct fast4 way[FAST_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 8);
	/* A page's beginning is also that of a line. */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct fast_set);
	PIN;
} fast4s SEC(".maps");

/* A byte of the hash of each entry: to find that a flow has none costs little. */
#define FAST_LINE 32
struct fast_line {
	__u8 tag[FAST_LINE][FAST_WAYS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, (1 << 8) / FAST_LINE);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct fast_line);
	PIN;
} fast_lines SEC(".maps");

static __always_inline __u64 fast_hash(__be32 saddr, __be32 daddr, __u32 ports)
{
	__u64 x = ((__u64)saddr << 32 | ports) ^ (__u64)daddr * 0x9e3779b97f4a7c15ULL;

	x *= 0xd6e8feb86659fd93ULL;
	x ^= x >> 32;
	return x * 0xd6e8feb86659fd93ULL;
}

static __always_inline struct fast_set *fast_set_of(__u32 cpu, __u64 hash)
{
	__u32 at = cpu << fast_bits | hash >> (64 - fast_bits);

	return bpf_map_lookup_elem(&fast4s, &at);
}

static __always_inline __u8 *fast_tags_of(__u32 cpu, __u64 hash)
{
	__u32 at = cpu << fast_bits | hash >> (64 - fast_bits), n = at / FAST_LINE;
	struct fast_line *line = bpf_map_lookup_elem(&fast_lines, &n);

	return line ? line->tag[at % FAST_LINE] : 0;
}

#define FAST_TAG(hash) ((__u8)((hash) >> 16))

static __always_inline int is_fast(const struct fast4 *e, __be32 saddr, __be32 daddr, __u32 ports, __u8 protocol)
{
	return e->saddr == saddr && e->daddr == daddr && e->ports == ports && e->kind >> 8 == protocol;
}

/* The bytes of a flow from its flags on, as a word: fast is the second. */
#define FAST_WORD(f) ((__u32 *)&(f)->flags)
#define FAST_SHIFT 8
#define FAST_MASK (0xffU << FAST_SHIFT)

/* drop_fast4 takes a flow's entry away. Who is making one looks again at
 * flow.fast when it has. */
static __noinline int drop_fast4(const struct key4 *k, struct flow4 *f)
{
	__u32 cpu = f->fast, ports = k->sport | (__u32)k->dport << 16, i;
	struct fast_set *set;

	/* With its result it is a barrier on all machines. */
	if (!(__sync_fetch_and_and(FAST_WORD(f), ~FAST_MASK) & FAST_MASK))
		return 0;
	set = fast_set_of(cpu - 1, fast_hash(k->saddr, k->daddr, ports));
	if (!set)
		return 0;
#pragma unroll
	for (i = 0; i < FAST_WAYS; i++) {
		struct fast4 *e = &set->way[i];

		if (is_fast(e, k->saddr, k->daddr, ports, k->protocol))
			__sync_lock_test_and_set(&e->kind, 0);
	}
	return 0;
}

static __always_inline void forget_fast4(const struct key4 *k, struct flow4 *f)
{
	if (f->fast)
		drop_fast4(k, f);
}

/* forget_fast_answers4 does it for the answers to a flow, before they go. */
static __always_inline void forget_fast_answers4(const struct key4 *r)
{
	struct flow4 *f = bpf_map_lookup_elem(&flows4, r);

	if (f)
		forget_fast4(r, f);
}

static __always_inline void forget_fast6(const struct key6 *k, struct flow6 *f) {}
static __always_inline void forget_fast_answers6(const struct key6 *r) {}
