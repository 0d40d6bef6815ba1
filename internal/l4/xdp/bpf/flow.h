/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Flows: finding, making, following and ending them. */
#pragma once

/* What a TCP segment does to a flow's state, as IPVS has it, by direction (from
 * the client, to the client, from the client when answers do not pass here)
 * and by the first of RST, SYN, FIN, ACK that it carries. */
enum { DIR_IN, DIR_OUT, DIR_IN_ONLY };
enum { EV_SYN, EV_FIN, EV_ACK, EV_RST };

#define NO ST_NONE
#define ES ST_ESTABLISHED
#define SS ST_SYN_SENT
#define SR ST_SYN_RECV
#define FW ST_FIN_WAIT
#define TW ST_TIME_WAIT
#define CL ST_CLOSE
#define CW ST_CLOSE_WAIT
#define LA ST_LAST_ACK
#define LI ST_LISTEN
#define SA ST_SYNACK
static const __u8 transitions[3 * 4 * 16] = {
	/* was:	 NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
	/* in */
	SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR, 0, 0, 0, 0, 0,
	CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW, 0, 0, 0, 0, 0,
	ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, 0, 0, 0, 0, 0,
	CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR, 0, 0, 0, 0, 0,
	/* out */
	SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR, 0, 0, 0, 0, 0,
	TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW, 0, 0, 0, 0, 0,
	ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES, 0, 0, 0, 0, 0,
	CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL, 0, 0, 0, 0, 0,
	/* in only */
	SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR, 0, 0, 0, 0, 0,
	CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW, 0, 0, 0, 0, 0,
	ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES, 0, 0, 0, 0, 0,
	CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL, 0, 0, 0, 0, 0,
};
#undef NO
#undef ES
#undef SS
#undef SR
#undef FW
#undef TW
#undef CL
#undef CW
#undef LA
#undef LI
#undef SA

static __always_inline int is_active(__u32 state)
{
	return state == ST_ESTABLISHED || state == ST_SYN_SENT ||
	       state == ST_SYN_RECV || state == ST_SYNACK;
}

static __always_inline void key4_of(struct key4 *k, const struct packet *p)
{
	k->saddr = p->saddr[0];
	k->daddr = p->daddr[0];
	k->sport = p->sport;
	k->dport = p->dport;
	k->protocol = p->protocol;
	k->kind = KIND_FLOW;
	k->zero = 0;
}

static __always_inline void copy16(__be32 *to, const __be32 *from)
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

static __always_inline int same16(const __be32 *a, const __be32 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static __always_inline void key6_of(struct key6 *k, const struct packet *p)
{
	copy16(k->saddr, p->saddr);
	copy16(k->daddr, p->daddr);
	k->sport = p->sport;
	k->dport = p->dport;
	k->protocol = p->protocol;
	k->kind = KIND_FLOW;
	k->zero = 0;
}

/* bind_dest counts a flow for its server. */
static __always_inline void bind_dest(__u32 dest, __u32 state)
{
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);

	if (!ds || !d)
		return;
	if (state == ST_TEMPLATE) {
		__sync_fetch_and_add(&ds->persistent, 1);
		return;
	}
	if (is_active(state))
		__sync_fetch_and_add(&ds->active, 1);
	else
		__sync_fetch_and_add(&ds->inactive, 1);
	if (d->upper && ds->active + ds->inactive >= d->upper)
		ds->overloaded = 1;
}

/* is_overloaded is whether a server has had its upper threshold of flows and
 * not yet less than the lower one. */
static __always_inline int is_overloaded(const struct dest *d, struct dest_state *ds)
{
	__u32 total = ds->active + ds->inactive;

	if (!ds->overloaded || !d->upper)
		return 0;
	if (d->lower ? total < d->lower : total * 4 < d->upper * 3) {
		ds->overloaded = 0;
		return 0;
	}
	return 1;
}

/* unbind_dest gives a flow's count back. */
static __always_inline void unbind_dest(__u32 dest, __u32 state)
{
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);

	if (!ds || !d)
		return;
	if (state == ST_TEMPLATE) {
		__sync_fetch_and_add(&ds->persistent, -1);
		return;
	}
	if (is_active(state))
		__sync_fetch_and_add(&ds->active, -1);
	else
		__sync_fetch_and_add(&ds->inactive, -1);
	is_overloaded(d, ds);
}

/* timeout_of is how many ticks a flow in a state lives without packets. */
static __always_inline __u32 timeout_of(__u32 state, __u32 template)
{
	__u32 zero = 0;
	struct configuration *s;

	if (state == ST_TEMPLATE)
		return template;
	s = bpf_map_lookup_elem(&settings, &zero);
	/* The compiler knows what the transitions hold, the verifier does not. */
	asm volatile("" : "+r"(state));
	if (!s || state >= 16)
		return 1;
	return s->timeout[state];
}

/* set_state moves a flow to a state, once, whoever else tries. Gives whether
 * it was this call. */
static __always_inline int set_state(__u32 *word, __u32 dest, __u32 old, __u32 new)
{
	struct dest_state *ds;

	if (__sync_val_compare_and_swap(word, old, new) != old)
		return 0;
	if (old >= ST_TEMPLATE || is_active(old) == is_active(new))
		return 1;
	ds = bpf_map_lookup_elem(&dest_states, &dest);
	if (!ds)
		return 1;
	if (is_active(new)) {
		__sync_fetch_and_add(&ds->active, 1);
		__sync_fetch_and_add(&ds->inactive, -1);
	} else {
		__sync_fetch_and_add(&ds->active, -1);
		__sync_fetch_and_add(&ds->inactive, 1);
	}
	return 1;
}

/* retire marks a flow as being deleted and gives its counts back, once. */
static __always_inline int retire(__u32 *word, __u32 dest)
{
	__u32 old = __sync_lock_test_and_set(word, ST_DEAD);

	if (old == ST_DEAD)
		return 0;
	unbind_dest(dest, old);
	return 1;
}

/* The key of the answers to a flow. */
static __always_inline void reverse4(struct key4 *r, const struct key4 *k, const struct flow4 *f)
{
	r->saddr = f->new_daddr;
	r->daddr = f->flags & FLOW_SOURCE ? f->new_saddr : k->saddr;
	r->sport = f->new_dport;
	r->dport = f->flags & FLOW_SOURCE ? f->new_sport : k->sport;
	r->protocol = k->protocol;
	r->kind = KIND_FLOW;
	r->zero = 0;
}

static __always_inline void reverse6(struct key6 *r, const struct key6 *k, const struct flow6 *f)
{
	copy16(r->saddr, f->new_daddr);
	if (f->flags & FLOW_SOURCE)
		copy16(r->daddr, f->new_saddr);
	else
		copy16(r->daddr, k->saddr);
	r->sport = f->new_dport;
	r->dport = f->flags & FLOW_SOURCE ? f->new_sport : k->sport;
	r->protocol = k->protocol;
	r->kind = KIND_FLOW;
	r->zero = 0;
}

/* How often a sweeper comes (67 ms), and into how many parts it divides its
 * ring: it is around in two seconds, or later when there are very many. */
#define SWEEP_TICKS 4
#define SWEEP_PARTS 30
#define SWEEP_MOST 4096

#define ORPHAN_OR_FORWARD(f) (!((f)->flags & FLOW_REVERSE) || (f)->flags & FLOW_ORPHAN)

/* unlearn frees a client's next hop that no route has led to for a while. No
 * flow believes in it any more (LEARN_TICKS). Who finds it again meanwhile
 * first writes the tick and then looks whether it is still there; here it is
 * first taken away and then the tick looked at. */
static long unlearn(__u32 i, __u32 *first)
{
	__u32 at = (*first + i) % LEARNED_HOPS, ifindex;
	struct learned_hop *h = bpf_map_lookup_elem(&learned_hops, &at);

	if (!h)
		return 1;
	ifindex = h->ifindex;
	if (!ifindex || ifindex == ~0U || (__s32)(now_tick() - h->tick) < UNLEARN_TICKS ||
	    __sync_val_compare_and_swap(&h->ifindex, ifindex, ~0U) != ifindex)
		return 0;
	if ((__s32)(now_tick() - __sync_fetch_and_add(&h->tick, 0)) < UNLEARN_TICKS)
		__sync_lock_test_and_set(&h->ifindex, ifindex);
	else
		__sync_lock_test_and_set(&h->ifindex, 0);
	return 0;
}

static __always_inline void unlearn_some(void)
{
	__u32 first = now_tick() / SWEEP_TICKS * UNLEARN_PART;

	bpf_loop(UNLEARN_PART, unlearn, &first, 0);
}

/* Each family has its ring and its sweeper. enlist puts a new flow into the
 * ring; sweep is one look at the ring's next flow. */
#define DEFINE_SWEEP(V, INDEX)                                                 \
static __always_inline long enlist##V(struct scratch *scratch, const struct key##V *k, __u32 born) \
{                                                                              \
	__u32 index = INDEX;                                                   \
	struct sweeper *s = bpf_map_lookup_elem(&sweepers, &index);            \
	struct ring##V *entry = (void *)scratch->entry;                        \
	int err;                                                               \
                                                                               \
	entry->key = *k;                                                       \
	entry->born = born;                                                    \
	entry->zero = 0;                                                       \
	err = bpf_map_push_elem(&ring##V##s, entry, 0);                        \
                                                                               \
	if (!err && s)                                                         \
		__sync_fetch_and_add(&s->ringed, 1);                           \
	return err;                                                            \
}                                                                              \
                                                                               \
static long sweep##V(__u32 i, struct sweeper **ctx)                            \
{                                                                              \
	struct sweeper *s = *ctx;                                              \
	struct ring##V entry;                                                  \
	struct key##V r;                                                       \
	struct flow##V *f;                                                     \
                                                                               \
	if (bpf_map_pop_elem(&ring##V##s, &entry))                             \
		return 1;                                                      \
	f = bpf_map_lookup_elem(&flows##V, &entry.key);                        \
	if (!f || f->born != entry.born || !ORPHAN_OR_FORWARD(f)) {            \
		__sync_fetch_and_add(&s->ringed, -1);                          \
		return 0;                                                      \
	}                                                                      \
	if (f->state != ST_DEAD &&                                             \
	    (__s32)(now_tick() - f->last) < (__s32)timeout_of(f->state, f->hop_tick)) { \
		if (bpf_map_push_elem(&ring##V##s, &entry, 0) == 0)            \
			return 0;                                              \
		__sync_fetch_and_add(&s->lost, 1);                             \
	}                                                                      \
	__sync_fetch_and_add(&s->ringed, -1);                                  \
	/* Who else has retired it deletes it, and may have put another one there. */ \
	if (!(f->flags & FLOW_ORPHAN) && !retire(&f->state, f->dest))          \
		return 0;                                                      \
	if (f->flags & FLOW_DESTINATION && !(f->flags & FLOW_REVERSE)) {       \
		reverse##V(&r, &entry.key, f);                                 \
		forget_fast_answers##V(&r);                                    \
		bpf_map_delete_elem(&flows##V, &r);                            \
	}                                                                      \
	forget_fast##V(&entry.key, f);                                         \
	bpf_map_delete_elem(&flows##V, &entry.key);                            \
	s->ended++;                                                            \
	return 0;                                                              \
}                                                                              \
                                                                               \
static int sweep_ring##V(void *map, __u32 *index, struct sweeper *s)           \
{                                                                              \
	__u32 n = s->ringed / SWEEP_PARTS + 16;                                \
	struct sweeper *ctx = s;                                               \
                                                                               \
	bpf_loop(n < SWEEP_MOST ? n : SWEEP_MOST, sweep##V, &ctx, 0);          \
	if (INDEX == 0)                                                        \
		unlearn_some();                                                \
	bpf_timer_start(&s->timer, (__u64)SWEEP_TICKS << TICK_SHIFT, 0);       \
	return 0;                                                              \
}

DEFINE_SWEEP(4, 0)
DEFINE_SWEEP(6, 1)

#define CLOCK_MONOTONIC 1

/* track follows a TCP connection by one segment. */
static __always_inline void track(__u32 *word, __u32 *changed, __u32 dest, __u32 direction,
				  __u8 tcp_flags, __u32 tick)
{
	__u32 old = *word, event, index, new;

	if (tcp_flags & TCP_RST)
		event = EV_RST;
	else if (tcp_flags & TCP_SYN)
		event = EV_SYN;
	else if (tcp_flags & TCP_FIN)
		event = EV_FIN;
	else if (tcp_flags & TCP_ACK)
		event = EV_ACK;
	else
		return;
	if (old >= ST_TCP_STATES)
		return;
	index = (direction * 4 + event) * 16 + old;
	if (index >= sizeof(transitions))
		return;
	new = transitions[index];
	if (new != old && set_state(word, dest, old, new))
		*changed = tick;
}
