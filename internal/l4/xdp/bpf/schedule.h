/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* From a packet without a flow to a service, and to one of its servers. */
#pragma once

/* find_service looks by mark, by address and port, by port range. */
static __always_inline struct service *find_service(const struct packet *p, __u32 flags)
{
	struct service_key k = {};
	struct service *s;
	struct range_key r = {};

	if (p->mark && flags & SET_MARKS) {
		k.addr[0] = p->mark;
		k.family = p->family;
		s = bpf_map_lookup_elem(&services, &k);
		if (s)
			return s;
	}
	copy16(k.addr, p->daddr);
	k.port = p->dport;
	k.protocol = p->protocol;
	k.family = p->family;
	s = bpf_map_lookup_elem(&services, &k);
	if (s || !(flags & SET_RANGES))
		return s;
	copy16(r.addr, p->daddr);
	r.port = p->dport;
	r.protocol = p->protocol;
	r.family = p->family;
	r.prefix = 8 * (sizeof(r) - sizeof(r.prefix));
	return bpf_map_lookup_elem(&ranges, &r);
}

static __always_inline __u32 slot(__u32 first, __u32 i)
{
	__u32 n = first + i / BLOCK_SLOTS;
	struct block *b = bpf_map_lookup_elem(&blocks, &n);

	return b ? b->dest[i % BLOCK_SLOTS] : 0;
}

/* usable is whether new flows may go to a server. */
static __always_inline int usable(__u32 dest)
{
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);

	return dest && d && ds && d->flags & DEST_AVAILABLE && d->weight &&
	       !is_overloaded(d, ds);
}

/* drained is whether a server has weight 0, or is gone. */
static __always_inline int drained(__u32 dest)
{
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);

	return !dest || !d || !(d->flags & DEST_AVAILABLE) || !d->weight;
}

/* fold_address is an address as IPVS's hashes take it: a number, IPv6 folded. */
static __always_inline __u32 fold_address(const __be32 *a)
{
	return bpf_ntohl(a[0] ^ a[1] ^ a[2] ^ a[3]);
}

#define ROTATE(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define SIP_ROUND                                                              \
	do {                                                                   \
		v0 += v1; v1 = ROTATE(v1, 13); v1 ^= v0; v0 = ROTATE(v0, 32);  \
		v2 += v3; v3 = ROTATE(v3, 16); v3 ^= v2;                       \
		v0 += v3; v3 = ROTATE(v3, 21); v3 ^= v0;                       \
		v2 += v1; v1 = ROTATE(v1, 17); v1 ^= v2; v2 = ROTATE(v2, 32);  \
	} while (0)

/* sip13 is SipHash-1-3 of one 32-bit number under a key of twice the same
 * half: what IPVS's mh uses on 64-bit machines. */
static __always_inline __u32 sip13(__u32 value, __u64 key)
{
	__u64 v0 = 0x736f6d6570736575ULL ^ key, v1 = 0x646f72616e646f6dULL ^ key;
	__u64 v2 = 0x6c7967656e657261ULL ^ key, v3 = 0x7465646279746573ULL ^ key;
	__u64 b = (__u64)4 << 56 | value;

	v3 ^= b;
	SIP_ROUND;
	v0 ^= b;
	v2 ^= 0xff;
	SIP_ROUND;
	SIP_ROUND;
	SIP_ROUND;
	return (v0 ^ v1) ^ (v2 ^ v3);
}

#define MH_KEY 2654435761UL
#define GOLDEN_RATIO_32 0x61C88647U

/* hash_slot is the place of a packet in a hashing scheduler's table; offset
 * leads to others. */
static __always_inline __u32 hash_slot(const struct service *s, const struct packet *p, __u32 offset)
{
	__u32 port = s->flags & SERVICE_HASH_PORT ? bpf_ntohs(p->sport) : 0;
	__u32 size = s->table_size;

	if (!size)
		return 0;
	switch (s->scheduler) {
	case S_DH:
		return (fold_address(p->daddr) * GOLDEN_RATIO_32 >> 24) % size;
	case S_SH:
		return (offset + ((port + fold_address(p->saddr)) * GOLDEN_RATIO_32 >> 24)) % size;
	default:
		return sip13(offset + port + fold_address(p->saddr), MH_KEY) % size;
	}
}

static __always_inline int is_hashing(const struct service *s)
{
	return s->scheduler == S_SH || s->scheduler == S_DH || s->scheduler == S_MH;
}

struct table_walk {
	const struct service *s;
	const struct packet *p;
	__u32 start, found, steps;
};

static long table_step(__u32 i, struct table_walk *w)
{
	__u32 at, dest;
	const struct service *s = w->s;

	if (!s->table_size)
		return 1;
	if (s->scheduler == S_MH)
		at = hash_slot(s, w->p, i ? (w->start + i - 1) % s->table_size : 0);
	else if (s->scheduler == S_SH && i)
		at = (w->start + (w->start + i - 1) % s->table_size) % s->table_size;
	else
		at = (w->start + i) % s->table_size;
	dest = slot(s->table, at);
	w->steps = i;
	if (usable(dest)) {
		w->found = dest;
		return 1;
	}
	/* In IPVS who comes to a server of weight 0 by sh or dh is refused: here
	 * it goes where the fallback would lead. */
	return !i && is_hashing(s) && !drained(dest) &&
	       (s->scheduler == S_DH || !(s->flags & SERVICE_HASH_FALLBACK));
}

struct load_walk {
	const struct service *s;
	const struct cached *set; /* or not all servers of the service, but these */
	__u64 load, weight;
	__u32 found;
};

/* load_step weighs one server against the best so far: a load of L with weight
 * W is better than l with w when L*w < l*W. The first of equals stays. */
static long load_step(__u32 i, struct load_walk *w)
{
	__u32 dest = w->set ? w->set->dest[i % CACHED_SERVERS] : slot(w->s->members, i);
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);
	__u64 load, weight;
	__u32 active;

	if (!dest || !d || d->service != w->s->id || !ds || !(d->flags & DEST_AVAILABLE) || !d->weight || is_overloaded(d, ds))
		return 0;
	active = ds->active;
	weight = d->weight;
	switch (w->s->scheduler) {
	case S_LC:
		load = (__u64)active * 256 + ds->inactive;
		weight = 1;
		break;
	case S_SED:
		load = (__u64)active + 1;
		break;
	case S_NQ:
		if (!active) {
			w->found = dest;
			return 1;
		}
		load = (__u64)active + 1;
		break;
	case S_FO:
		load = 1;
		break;
	case S_OVF:
		if (active > weight)
			return 0;
		load = 1;
		break;
	default:
		load = (__u64)active * 256 + ds->inactive;
	}
	if (!w->found || load * w->weight < w->load * weight) {
		w->found = dest;
		w->load = load;
		w->weight = weight;
	}
	return 0;
}

static long idle_step(__u32 i, struct load_walk *w)
{
	__u32 dest = slot(w->s->members, i);
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);

	if (!dest || !d || !ds || !(d->flags & DEST_AVAILABLE) || (__u64)ds->active * 2 >= d->weight)
		return 0;
	w->found = 1;
	return 1;
}

/* too_busy is whether a destination leaves its server: that one has more
 * active flows than its weight, and some other not half as many. */
static __noinline int too_busy(const struct service *s, __u32 dest)
{
	struct load_walk w = { .s = s };
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);

	if (!scratch || !d || !ds)
		return 1;
	if (ds->active <= d->weight)
		return 0;
	w.found = scratch->nothing;
	bpf_loop(s->member_count, idle_step, &w, 0);
	return w.found;
}

/* least_loaded is the server with the fewest flows for its weight, of all or
 * of a set. */
static __noinline __u32 least_loaded(const struct service *s, const struct cached *set)
{
	struct load_walk w = { .s = s, .set = set };
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);

	if (!scratch)
		return 0;
	w.found = scratch->nothing; /* see choose */
	w.load = w.weight = scratch->nothing;
	bpf_loop(set ? CACHED_SERVERS : s->member_count, load_step, &w, 0);
	return w.found;
}

/* most_step looks for the most loaded server of a set: found is its place + 1. */
static long most_step(__u32 i, struct load_walk *w)
{
	__u32 dest = w->set->dest[i % CACHED_SERVERS];
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);
	__u64 load;

	if (!dest || !d || !ds || !d->weight)
		return 0;
	load = (__u64)ds->active * 256 + ds->inactive;
	if (!w->found || w->load * d->weight < load * w->weight) {
		w->found = i + 1;
		w->load = load;
		w->weight = d->weight;
	}
	return 0;
}

/* shrink takes the most loaded server out of a destination's set. */
static __noinline int shrink(struct cached *c, __u32 tick)
{
	struct load_walk w = { .set = c };
	__u32 zero = 0, i;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);

	if (!scratch)
		return 0;
	w.found = scratch->nothing; /* see choose */
	w.load = w.weight = scratch->nothing;
	bpf_loop(CACHED_SERVERS, most_step, &w, 0);
	if (!w.found)
		return 0;
	for (i = 0; i < CACHED_SERVERS - 1; i++)
		if (i + 1 >= w.found)
			c->dest[i] = c->dest[i + 1];
	c->dest[CACHED_SERVERS - 1] = 0;
	c->size--;
	c->modified = tick;
	return 0;
}

/* widen puts a server into a destination's set, in place of the first one when
 * there is no room. */
static __noinline int widen(struct cached *c, __u32 dest, __u32 tick)
{
	__u32 i;

	for (i = 0; i < CACHED_SERVERS; i++)
		if (c->dest[i] == dest)
			return 0;
	for (i = CACHED_SERVERS - 1; i > 0; i--)
		c->dest[i] = c->dest[i - 1];
	c->dest[0] = dest;
	if (c->size < CACHED_SERVERS)
		c->size++;
	c->modified = tick;
	return 0;
}

struct draw_walk {
	const struct service *s;
	__u64 sum; /* of the weights so far */
	__u64 at[2], load[2], weight[2];
	__u32 found[2];
	__u32 draw; /* 0: only sum */
};

/* draw_step goes past one server of those that may be drawn, each as long as
 * its weight: a draw's server is the one that its number falls on. */
static long draw_step(__u32 i, struct draw_walk *w)
{
	__u32 dest = slot(w->s->members, i), n;
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct dest_state *ds = bpf_map_lookup_elem(&dest_states, &dest);

	if (!dest || !d || d->service != w->s->id || !ds || !(d->flags & DEST_AVAILABLE) || !d->weight || is_overloaded(d, ds))
		return 0;
	w->sum += d->weight;
	if (!w->draw)
		return 0;
#pragma unroll
	for (n = 0; n < 2; n++)
		if (!w->found[n] && w->at[n] < w->sum) {
			w->found[n] = dest;
			w->load[n] = (__u64)ds->active * 256 + ds->inactive;
			w->weight[n] = d->weight;
		}
	return w->found[0] && w->found[1];
}

/* of_two is the less loaded of two servers that are drawn by weight; both draws
 * may be of the same one. */
static __noinline __u32 of_two(const struct service *s)
{
	struct draw_walk w = { .s = s };
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);

	if (!scratch)
		return 0;
	w.sum = w.load[0] = w.load[1] = w.weight[0] = w.weight[1] = scratch->nothing; /* see choose */
	w.found[0] = w.found[1] = w.draw = scratch->nothing;
	w.at[0] = w.at[1] = scratch->nothing;
	bpf_loop(s->member_count, draw_step, &w, 0);
	w.at[0] = (w.sum * bpf_get_prandom_u32()) >> 32;
	w.at[1] = (w.sum * bpf_get_prandom_u32()) >> 32;
	w.sum = 0;
	w.draw = 1;
	bpf_loop(s->member_count, draw_step, &w, 0);
	/* Weights that shrink meanwhile may leave a draw without a server. */
	if (!w.found[0] || (w.found[1] && w.load[1] * w.weight[0] < w.load[0] * w.weight[1]))
		return w.found[1];
	return w.found[0];
}

/* by_destination is lblc and lblcr: a destination keeps its server, or the
 * least loaded of its servers, unless that is too busy. Two CPUs that change
 * the same set at once may lose a server of it or have one twice, which only
 * makes the set smaller or larger for a while. */
static __noinline __u32 by_destination(const struct service *s, const struct packet *p)
{
	__u32 zero = 0, tick = now_tick(), found = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	struct cached_key k = { .service = s->id };
	struct cached *c, *fresh;
	struct dest *d;

	if (!scratch)
		return 0;
	copy16(k.daddr, p->daddr);
	c = bpf_map_lookup_elem(&cacheds, &k);
	if (c && (__s32)(tick - c->used) < CACHED_TICKS) {
		c->used = tick;
		if (s->scheduler == S_LBLC) {
			found = c->dest[0];
			d = bpf_map_lookup_elem(&dests, &found);
			if (!d || d->service != s->id || drained(found))
				found = 0;
		} else {
			found = least_loaded(s, c);
			if (c->size > 1 && (__s32)(tick - c->modified) > CACHED_TICKS)
				shrink(c, tick);
		}
		if (found && !too_busy(s, found))
			return found;
		found = least_loaded(s, 0);
		if (!found)
			return 0;
		if (s->scheduler == S_LBLC) {
			c->dest[0] = found;
			c->modified = tick;
		} else {
			widen(c, found, tick);
		}
		return found;
	}
	found = least_loaded(s, 0);
	if (!found)
		return 0;
	fresh = (void *)scratch->cached;
	__builtin_memset(fresh, 0, sizeof(*fresh));
	fresh->used = fresh->modified = tick;
	fresh->size = 1;
	fresh->dest[0] = found;
	/* Without room for it the destination is simply not remembered. */
	bpf_map_update_elem(&cacheds, &k, fresh, BPF_ANY);
	return found;
}

/* choose is the server of a new flow; 0 when there is none. */
static __noinline __u32 choose(const struct service *s, const struct packet *p)
{
	struct service_state *state;
	struct load_walk load = { .s = s };
	struct table_walk table = { .s = s, .p = p };
	__u32 id = s->id, zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);

	if (!scratch)
		return 0;
	/* Before Linux 6.7 the verifier takes it that the step is called once: it
	 * must not know what the walk begins with, or it removes what a second call
	 * would need. */
	load.found = table.found = table.steps = scratch->nothing;
	load.load = load.weight = scratch->nothing;

	switch (s->scheduler) {
	case S_RR:
	case S_WRR:
		state = bpf_map_lookup_elem(&service_states, &id);
		if (!state || !s->table_size)
			return 0;
		table.start = (__sync_fetch_and_add(&state->turn, 1) + s->turn) % s->table_size;
		bpf_loop(s->table_size, table_step, &table, 0);
		/* The next turn is that after the server that was found. */
		if (!table.found)
			__sync_fetch_and_add(&state->turn, -1);
		else if (table.steps)
			__sync_fetch_and_add(&state->turn, table.steps);
		return table.found;
	case S_SH:
	case S_DH:
	case S_MH:
		if (!s->table_size)
			return 0;
		table.start = hash_slot(s, p, 0);
		bpf_loop(s->table_size + 1, table_step, &table, 0);
		return table.found;
	default:
		bpf_loop(s->member_count, load_step, &load, 0);
		return load.found;
	}
}

/* next_server asks the service's scheduler for the server of a new flow. */
static __always_inline __u32 next_server(const struct service *s, const struct packet *p)
{
	switch (s->scheduler) {
	case S_LBLC:
	case S_LBLCR:
		return by_destination(s, p);
	case S_TWOS:
		return of_two(s);
	default:
		return choose(s, p);
	}
}

/* by_hash is a server for a packet whose flow nobody can remember: every
 * packet of the flow finds the same one. */
static __noinline __u32 by_hash(const struct service *s, const struct packet *p)
{
	__u32 hash = sip13(fold_address(p->saddr) + bpf_ntohs(p->sport), MH_KEY), i;

	if (!s->member_count)
		return 0;
#pragma unroll
	for (i = 0; i < 8; i++) {
		__u32 dest = slot(s->members, (hash + i) % s->member_count);
		struct dest *d = bpf_map_lookup_elem(&dests, &dest);

		if (dest && d && d->flags & DEST_AVAILABLE && d->weight &&
		    (d->method == DR || d->method == TUN || d->method == LOCAL))
			return dest;
	}
	return 0;
}

/* was_full is whether there may be flows of a service that nobody remembers,
 * as the table was full when they began. */
static __always_inline int was_full(const struct service *s)
{
	__u32 id = s->id;
	struct service_state *state = bpf_map_lookup_elem(&service_states, &id);

	return state && state->full && now_tick() - state->full < FULL_TICKS;
}

static __always_inline void note_full(const struct service *s)
{
	__u32 id = s->id, tick = now_tick();
	struct service_state *state = bpf_map_lookup_elem(&service_states, &id);

	if (state && tick - state->full >= REFRESH_TICKS)
		state->full = tick;
}

/* over_syn_limit counts a new TCP flow against the service's limit a second. */
static __always_inline int over_syn_limit(const struct service *s, __u64 now)
{
	__u32 id = s->id, second = now >> 30;
	struct service_state *state = bpf_map_lookup_elem(&service_states, &id);

	if (!state)
		return 0;
	if (state->syn_second != second) {
		state->syn_second = second;
		state->syn_count = 0;
	}
	return __sync_fetch_and_add(&state->syn_count, 1) >= s->syn_limit;
}
