/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What only programs can do, on behalf of the process: it runs this one by
 * hand with an order as the packet. */
#pragma once

enum order { ORDER_SWEEP = 1, ORDER_INSERT, ORDER_END };

/* An order. INSERT makes a flow that another director told of; END ends one. */
struct command {
	__u8 ethernet[14];
	__u16 order;
	__u32 dest;
	__u32 state;
	__u32 flags;
	__u32 mark;
	__be32 saddr[4], daddr[4];
	__be32 new_saddr[4], new_daddr[4];
	__be16 sport, dport, new_sport, new_dport;
	__u8 protocol, family, kind, sticky_bits;
	__u8 sticky_kind, zero[3];
	__u32 timeout;
	__u32 idle; /* ticks since its last packet */
};

#define START(V, INDEX)                                                        \
	({                                                                     \
		__u32 index = INDEX;                                           \
		struct sweeper *s = bpf_map_lookup_elem(&sweepers, &index);    \
		int err = -1;                                                  \
		if (s) {                                                       \
			err = bpf_timer_init(&s->timer, &sweepers, CLOCK_MONOTONIC); \
			if (!err || err == -16 /* there is one: take it over */) \
				err = bpf_timer_set_callback(&s->timer, sweep_ring##V); \
			if (!err)                                              \
				err = bpf_timer_start(&s->timer, 0, 0);        \
		}                                                              \
		err;                                                           \
	})

static __always_inline void key_of_command(struct key6 *k, const struct command *c)
{
	copy16(k->saddr, c->saddr);
	copy16(k->daddr, c->daddr);
	k->sport = c->sport;
	k->dport = c->dport;
	k->protocol = c->protocol;
	k->kind = c->kind;
	k->zero = 0;
}

/* What is there already goes on from what the other director knows. */
#define RENEW(f)                                                               \
	do {                                                                   \
		if ((__s32)((f)->last - (tick - c->idle)) < 0)                 \
			(f)->last = tick - c->idle;                            \
	} while (0)

#define UPDATE(f)                                                              \
	do {                                                                   \
		__u32 was = (f)->state;                                        \
		RENEW(f);                                                      \
		(f)->flags |= FLOW_SYNCED;                                     \
		if (was < ST_TEMPLATE && was != c->state)                      \
			set_state(&(f)->state, (f)->dest, was, c->state);      \
	} while (0)

/* adopt_flow puts a connection in, brings up to date the one that is there, or
 * puts it in the place of an earlier one on the same ports, which went to
 * another server or by another port of FULLNAT's. */
#define DEFINE_ADOPT(V, SET_ADDR, SAME_ADDR)                                   \
static __noinline int adopt_flow##V(const struct command *c)                   \
{                                                                              \
	struct packet p = {};                                                  \
	struct key##V k;                                                       \
	__u32 which = BY_HAND, dest = c->dest, tick = now_tick();              \
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);                   \
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);           \
	struct flow##V *f;                                                     \
                                                                               \
	if (!d || !s)                                                          \
		return V_DROP;                                                 \
	p.by_hand = 1;                                                         \
	copy16(p.saddr, c->saddr);                                             \
	copy16(p.daddr, c->daddr);                                             \
	p.sport = c->sport;                                                    \
	p.dport = c->dport;                                                    \
	p.protocol = c->protocol;                                              \
	p.dest = dest;                                                         \
	key##V##_of(&k, &p);                                                   \
	f = bpf_map_lookup_elem(&flows##V, &k);                                \
	if (f && f->dest == dest && f->new_sport == c->new_sport &&            \
	    SAME_ADDR(f->new_saddr, c->new_saddr)) {                           \
		UPDATE(f);                                                     \
		forget_fast##V(&k, f);                                         \
		return V_FORWARD;                                              \
	}                                                                      \
	if (f)                                                                 \
		end##V(&k, f);                                                 \
	f = (void *)s->forward;                                                \
	__builtin_memset(f, 0, sizeof(*f));                                    \
	f->dest = dest;                                                        \
	f->state = c->state;                                                   \
	f->flags = c->flags | FLOW_SYNCED;                                     \
	f->mark = c->mark;                                                     \
	f->sticky_bits = c->sticky_bits;                                       \
	f->sticky_kind = c->sticky_kind;                                       \
	f->last = tick - c->idle;                                              \
	f->changed = f->born = tick;                                           \
	SET_ADDR(f->new_saddr, c->new_saddr);                                  \
	SET_ADDR(f->new_daddr, c->new_daddr);                                  \
	f->new_sport = c->new_sport;                                           \
	f->new_dport = c->new_dport;                                           \
	return insert##V(&p, f, d->method);                                    \
}

#define SAME_ADDR4(a, b) ((a) == (b)[0])
#define SAME_ADDR6(a, b) same16(a, b)

DEFINE_ADOPT(4, SET_ADDR4, SAME_ADDR4)
DEFINE_ADOPT(6, SET_ADDR6, SAME_ADDR6)

/* adopt_template brings a template up to date that is there, or makes room for
 * one of another server. */
#define DEFINE_RENEW(V)                                                        \
static __noinline int adopt_template##V(struct key##V *k, const struct command *c) \
{                                                                              \
	struct memory m = { c->dest, c->timeout, c->mark, c->sticky_bits };    \
	__u32 tick = now_tick();                                               \
	struct flow##V *f = bpf_map_lookup_elem(&flows##V, k);                 \
                                                                               \
	if (f && f->dest == c->dest) {                                         \
		f->hop_tick = c->timeout;                                      \
		RENEW(f);                                                      \
		return 1;                                                      \
	}                                                                      \
	if (f && retire(&f->state, f->dest))                                   \
		bpf_map_delete_elem(&flows##V, k);                             \
	if (!remember##V(k, &m, BY_HAND))                                      \
		return 0;                                                      \
	f = bpf_map_lookup_elem(&flows##V, k);                                 \
	if (f)                                                                 \
		f->last = tick - c->idle;                                      \
	return 1;                                                              \
}

DEFINE_RENEW(4)
DEFINE_RENEW(6)

static __noinline int adopt_template(const struct command *c)
{
	struct key6 t;
	struct key4 n;

	key_of_command(&t, c);
	if (c->family != 4)
		return adopt_template6(&t, c);
	narrow(&n, &t);
	return adopt_template4(&n, c);
}

static __noinline int end_flow(const struct command *c)
{
	struct key6 t;
	struct key4 n;

	key_of_command(&t, c);
	if (c->family == 4) {
		struct flow4 *f;

		narrow(&n, &t);
		f = bpf_map_lookup_elem(&flows4, &n);
		if (f)
			end4(&n, f);
	} else {
		struct flow6 *f = bpf_map_lookup_elem(&flows6, &t);

		if (f)
			end6(&t, f);
	}
	return 0;
}

static __always_inline int obey(ctx_t *ctx)
{
	struct command c;

	if (ctx_load(ctx, 0, &c, sizeof(c)))
		return 1;
	switch (c.order) {
	case ORDER_SWEEP:
		return START(4, 0) || START(6, 1);
	case ORDER_INSERT:
		if (c.kind != KIND_FLOW) {
			adopt_template(&c);
			return 0;
		}
		return (c.family == 4 ? adopt_flow4(&c) : adopt_flow6(&c)) == V_FORWARD ? 0 : 3;
	case ORDER_END:
		return end_flow(&c);
	}
	return 2;
}
