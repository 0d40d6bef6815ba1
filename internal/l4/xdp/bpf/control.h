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

/* A flow that is there already goes on from what the other director knows. */
#define UPDATE(f)                                                              \
	do {                                                                   \
		__u32 was = (f)->state;                                        \
		if ((__s32)((f)->last - (tick - c->idle)) < 0)                 \
			(f)->last = tick - c->idle;                            \
		if (was < ST_TEMPLATE && was != c->state)                      \
			set_state(&(f)->state, (f)->dest, was, c->state);      \
	} while (0)

static __noinline int adopt_flow(const struct command *c)
{
	struct packet p = {};
	__u32 zero = 0, dest = c->dest, tick = now_tick();
	int verdict;
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	if (!d || !s)
		return V_DROP;
	copy16(p.saddr, c->saddr);
	copy16(p.daddr, c->daddr);
	p.sport = c->sport;
	p.dport = c->dport;
	p.protocol = c->protocol;
	p.dest = dest;
	if (c->family == 4) {
		struct flow4 *f = (void *)s->forward;

		__builtin_memset(f, 0, sizeof(*f));
		f->dest = dest;
		f->state = c->state;
		f->flags = c->flags | FLOW_SYNCED;
		f->mark = c->mark;
		f->protocol = c->protocol;
		f->sticky_bits = c->sticky_bits;
		f->sticky_kind = c->sticky_kind;
		f->last = tick - c->idle;
		f->changed = f->born = tick;
		f->new_saddr = c->new_saddr[0];
		f->new_daddr = c->new_daddr[0];
		f->new_sport = c->new_sport;
		f->new_dport = c->new_dport;
		verdict = insert4(&p, f, d->method);
		if (verdict == V_FORWARD && !p.new_flow) {
			struct key4 k;

			key4_of(&k, &p);
			f = bpf_map_lookup_elem(&flows4, &k);
			if (f)
				UPDATE(f);
		}
		return verdict;
	} else {
		struct flow6 *f = (void *)s->forward;

		__builtin_memset(f, 0, sizeof(*f));
		f->dest = dest;
		f->state = c->state;
		f->flags = c->flags | FLOW_SYNCED;
		f->mark = c->mark;
		f->protocol = c->protocol;
		f->sticky_bits = c->sticky_bits;
		f->sticky_kind = c->sticky_kind;
		f->last = tick - c->idle;
		f->changed = f->born = tick;
		copy16(f->new_saddr, c->new_saddr);
		copy16(f->new_daddr, c->new_daddr);
		f->new_sport = c->new_sport;
		f->new_dport = c->new_dport;
		verdict = insert6(&p, f, d->method);
		if (verdict == V_FORWARD && !p.new_flow) {
			struct key6 k;

			key6_of(&k, &p);
			f = bpf_map_lookup_elem(&flows6, &k);
			if (f)
				UPDATE(f);
		}
		return verdict;
	}
}

static __noinline int adopt_template(const struct command *c)
{
	struct key6 t;
	struct key4 n;

	key_of_command(&t, c);
	if (c->family != 4)
		return remember6(&t, c->dest, c->timeout, c->mark, c->sticky_bits);
	narrow(&n, &t);
	return remember4(&n, c->dest, c->timeout, c->mark, c->sticky_bits);
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
		return adopt_flow(&c) == V_FORWARD ? 0 : 3;
	case ORDER_END:
		return end_flow(&c);
	}
	return 2;
}
