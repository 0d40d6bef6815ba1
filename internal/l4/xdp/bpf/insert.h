/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* New flows. */
#pragma once

#define ERR_EXISTS (-17)

/* first_state is the state that a flow begins in with its first packet. */
static __always_inline __u32 first_state(const struct packet *p, const struct dest *d)
{
	__u32 direction = !p->local && (d->method == DR || d->method == TUN) ? DIR_IN_ONLY : DIR_IN;
	__u32 event = p->tcp_flags & TCP_RST ? EV_RST : p->tcp_flags & TCP_SYN ? EV_SYN :
		      p->tcp_flags & TCP_FIN ? EV_FIN : EV_ACK;
	__u32 i = (direction * 4 + event) * 16;

	if (p->protocol != IPPROTO_TCP)
		return ST_UDP;
	return i < sizeof(transitions) ? transitions[i] : ST_NONE;
}

struct pool_walk {
	const struct packet *p;
	struct configuration *set;
	struct key4 *k4;
	struct key6 *k6;
	void *reverse;
	__u32 hash;
	__u16 local; /* the address is given, and so is the port that would be best */
	__u16 done;
};

static __always_inline __be16 pool_port(const struct configuration *set, __u32 n)
{
	__u32 span = (__u32)set->pool_port_last - set->pool_port_first + 1;

	return bpf_htons(set->pool_port_first + n % (span ? span : 1));
}

static long pool_step4(__u32 i, struct pool_walk *w)
{
	__u32 n = w->hash + i * 7919, count = w->set->pool4_count;
	__u32 at = n % (count ? count : 1);

	if (at >= 32)
		return 1;
	if (!w->local)
		w->k4->daddr = w->set->pool4[at];
	if (!w->local || i)
		w->k4->dport = pool_port(w->set, n / 32);
	if (bpf_map_update_elem(&flows4, w->k4, w->reverse, BPF_NOEXIST) == 0) {
		w->done = 1;
		return 1;
	}
	return 0;
}

static long pool_step6(__u32 i, struct pool_walk *w)
{
	__u32 n = w->hash + i * 7919, count = w->set->pool6_count;
	__u32 at = n % (count ? count : 1);

	if (at >= 32)
		return 1;
	if (!w->local)
		copy16(w->k6->daddr, w->set->pool6[at]);
	if (!w->local || i)
		w->k6->dport = pool_port(w->set, n / 32);
	if (bpf_map_update_elem(&flows6, w->k6, w->reverse, BPF_NOEXIST) == 0) {
		w->done = 1;
		return 1;
	}
	return 0;
}

static __always_inline int lookup_reverse4(struct key4 *r, const struct packet *p)
{
	struct flow4 *f = bpf_map_lookup_elem(&flows4, r);

	return f && f->flags & FLOW_REVERSE && f->new_saddr == p->daddr[0] &&
	       f->new_sport == p->dport && f->new_daddr == p->saddr[0] && f->new_dport == p->sport;
}

static __always_inline int lookup_reverse6(struct key6 *r, const struct packet *p)
{
	struct flow6 *f = bpf_map_lookup_elem(&flows6, r);

	return f && f->flags & FLOW_REVERSE && same16(f->new_saddr, p->daddr) &&
	       f->new_sport == p->dport && same16(f->new_daddr, p->saddr) && f->new_dport == p->sport;
}

/* answered_by4 and answered_by6 are whether a key is that of the answers to a
 * flow, whose client it has. */
static __always_inline int answered_by4(const struct flow4 *f, const struct key4 *r)
{
	return f->new_daddr == r->saddr && f->new_dport == r->sport &&
	       (!(f->flags & FLOW_SOURCE) || (f->new_saddr == r->daddr && f->new_sport == r->dport));
}

static __always_inline int answered_by6(const struct flow6 *f, const struct key6 *r)
{
	return same16(f->new_daddr, r->saddr) && f->new_dport == r->sport &&
	       (!(f->flags & FLOW_SOURCE) || (same16(f->new_saddr, r->daddr) && f->new_sport == r->dport));
}

/* The insertion of IPv4 and IPv6 flows differs in types only, so it is written
 * once. flow says what the forward entry shall be; a NAT flow gets its reverse
 * entry first, so that no answer can be missed. */
#define DEFINE_INSERT(V, SET_ADDR, NEW_POOL)                                           \
static __noinline int insert##V(struct packet *p, struct flow##V *flow, __u32 method) \
{                                                                              \
	struct key##V *k, *r;                                                  \
	struct flow##V *reverse;                                               \
	__u32 zero = 0, which = p->by_hand ? BY_HAND : 0, made = 0;            \
	struct scratch *s = bpf_map_lookup_elem(&scratches, &which);           \
	struct flow##V *there;                                                 \
	/* Before Linux 6.4 only the lower half of a result is one. */         \
	int err;                                                               \
                                                                               \
	if (!s)                                                                \
		return V_DROP;                                                 \
	reverse = (void *)s->reverse;                                          \
	k = (void *)s->key;                                                    \
	r = (void *)s->answer;                                                 \
	key##V##_of(k, p);                                                     \
	if (method == NAT || method == FULLNAT) {                              \
		__builtin_memset(reverse, 0, sizeof(*reverse));                \
		reverse->dest = flow->dest;                                     \
		reverse->last = flow->last;                                     \
		reverse->state = flow->state;                                   \
		reverse->flags = FLOW_REVERSE | FLOW_SOURCE | (flow->flags & FLOW_LOCAL); \
		SET_ADDR(reverse->new_saddr, p->daddr);                         \
		SET_ADDR(reverse->new_daddr, p->saddr);                         \
		reverse->new_sport = p->dport;                                  \
		reverse->new_dport = p->sport;                                  \
		reverse##V(r, k, flow);                                        \
		if (method == FULLNAT)                                         \
			reverse->flags |= FLOW_DESTINATION;                    \
		if (method == FULLNAT &&                                       \
		    (!(flow->flags & FLOW_SOURCE) || flow->flags & FLOW_LOCAL)) { \
			struct pool_walk w = {                                 \
				.p = p, .k##V = r, .reverse = reverse,       \
			};                                                     \
			w.set = bpf_map_lookup_elem(&settings, &zero);         \
			if (!w.set)                                            \
				return V_DROP;                                 \
			w.hash = bpf_get_prandom_u32();                        \
			w.done = s->nothing;                                   \
			w.local = (flow->flags & FLOW_SOURCE) != 0;            \
			if (w.set->NEW_POOL || w.local)                                 \
				bpf_loop(64, pool_step##V, &w, 0);             \
			if (!w.done) {                                         \
				count_drop(DROP_POOL);                         \
				return V_DROP;                                 \
			}                                                      \
			made = 1;                                              \
			flow->flags |= FLOW_SOURCE;                            \
			COPY_ADDR##V(flow->new_saddr, r->daddr);                \
			flow->new_sport = r->dport;                             \
		} else {                                                       \
			err = bpf_map_update_elem(&flows##V, r, reverse, BPF_NOEXIST); \
			if (err == ERR_EXISTS && !lookup_reverse##V(r, p)) {  \
				count_drop(DROP_COLLISION);                    \
				return V_DROP;                                 \
			}                                                      \
			if (err && err != ERR_EXISTS) {                        \
				count_drop(DROP_TABLE_FULL);                   \
				return V_DROP;                                 \
			}                                                      \
			made = !err;                                           \
		}                                                              \
	}                                                                      \
	err = bpf_map_update_elem(&flows##V, k, flow, BPF_NOEXIST);           \
	if (err == ERR_EXISTS) {                                               \
		/* Somebody was quicker. The way back from another server, or to \
		 * another port, is nobody's. */                               \
		there = made ? bpf_map_lookup_elem(&flows##V, k) : 0;          \
		if (made && (!there || !answered_by##V(there, r)))             \
			bpf_map_delete_elem(&flows##V, r);                     \
		return V_FORWARD;                                              \
	}                                                                      \
	if (err)                                                               \
		goto full;                                                     \
	if (enlist##V(s, k, flow->born)) {                                    \
		bpf_map_delete_elem(&flows##V, k);                            \
		goto full;                                                     \
	}                                                                      \
	bind_dest(flow->dest, flow->state);                                    \
	p->new_flow = 1;                                                       \
	if (!(flow->flags & FLOW_SYNCED))                                      \
		note(k, sizeof(*k), flow->state);                              \
	return V_FORWARD;                                                      \
full:                                                                          \
	if (method == NAT || method == FULLNAT) {                              \
		bpf_map_delete_elem(&flows##V, r);                            \
		count_drop(DROP_TABLE_FULL);                                   \
		return V_DROP;                                                 \
	}                                                                      \
	return V_STATELESS;                                                    \
}

#define SET_ADDR4(to, from) ((to) = (from)[0])
#define SET_ADDR6(to, from) copy16(to, from)
#define COPY_ADDR4(to, from) ((to) = (from))
#define COPY_ADDR6(to, from) copy16(to, from)

DEFINE_INSERT(4, SET_ADDR4, pool4_count)
DEFINE_INSERT(6, SET_ADDR6, pool6_count)

/* The key of a persistence template. */
static __always_inline void template_key(struct key6 *t, const __be32 *client, const __be32 *virtual,
					 __be16 port, __u8 protocol, __u8 family, __u8 bits,
					 __u8 kind, __u32 mark)
{
	__u32 i;

	__builtin_memset(t, 0, sizeof(*t));
#pragma unroll
	for (i = 0; i < 4; i++) {
		__s32 left = (__s32)bits - 32 * (__s32)i;

		if (left >= 32)
			t->saddr[i] = client[i];
		else if (left > 0)
			t->saddr[i] = client[i] & bpf_htonl(~0U << ((32 - left) & 31));
		if (family == 4)
			break;
	}
	t->kind = kind;
	if (kind == KIND_CLIENT_MARK) {
		t->daddr[0] = mark;
		return;
	}
	copy16(t->daddr, virtual);
	t->protocol = protocol;
	if (kind == KIND_CLIENT_PORT)
		t->dport = port;
}

static __always_inline void narrow(struct key4 *n, const struct key6 *t)
{
	n->saddr = t->saddr[0];
	n->daddr = t->daddr[0];
	n->sport = t->sport;
	n->dport = t->dport;
	n->protocol = t->protocol;
	n->kind = t->kind;
	n->zero = 0;
}

static __always_inline __u8 template_kind(const struct service *s)
{
	return s->mark ? KIND_CLIENT_MARK : s->flags & SERVICE_ANY_PORT ? KIND_CLIENT_ADDR : KIND_CLIENT_PORT;
}

/* template_dest is where a persistent client's flows go; 0 when not known. */
static __noinline __u32 template_dest(const struct service *s, const struct packet *p, __u32 set_flags)
{
	__u32 dest = 0, *state = 0, *last = 0;
	struct dest *d;
	struct key6 t;
	struct key4 n;

	template_key(&t, p->saddr, p->daddr, p->dport, p->protocol, p->family, s->sticky_bits,
		     template_kind(s), s->mark);
	if (p->family == 4) {
		struct flow4 *f;

		narrow(&n, &t);
		f = bpf_map_lookup_elem(&flows4, &n);
		if (!f)
			return 0;
		dest = f->dest;
		state = &f->state;
		last = &f->last;
	} else {
		struct flow6 *f = bpf_map_lookup_elem(&flows6, &t);

		if (!f)
			return 0;
		dest = f->dest;
		state = &f->state;
		last = &f->last;
	}
	d = bpf_map_lookup_elem(&dests, &dest);
	if (d && d->flags & DEST_AVAILABLE && d->service == s->id &&
	    (d->weight || !(set_flags & SET_EXPIRE_QUIESCENT))) {
		*last = now_tick();
		return dest;
	}
	if (!retire(state, dest))
		return 0;
	if (p->family == 4)
		bpf_map_delete_elem(&flows4, &n);
	else
		bpf_map_delete_elem(&flows6, &t);
	return 0;
}

/* memory is what a template says. */
struct memory {
	__u32 dest, timeout, mark, bits;
};

/* remember4 and remember6 make a template; 0: there is one, or no room for it.
 * Then the client is simply not remembered. */
#define DEFINE_REMEMBER(V)                                                     \
static __noinline int remember##V(struct key##V *k, const struct memory *m, __u32 which) \
{                                                                              \
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &which);     \
	struct flow##V *flow;                                                  \
                                                                               \
	if (!scratch)                                                          \
		return 0;                                                      \
	flow = (void *)scratch->forward;                                       \
	__builtin_memset(flow, 0, sizeof(*flow));                              \
	flow->state = ST_TEMPLATE;                                             \
	flow->dest = m->dest;                                                  \
	flow->last = flow->changed = flow->born = now_tick();                  \
	flow->hop_tick = m->timeout;                                           \
	flow->flags = FLOW_NO_OUTPUT;                                          \
	flow->mark = m->mark;                                                  \
	flow->sticky_bits = m->bits;                                           \
	if (bpf_map_update_elem(&flows##V, k, flow, BPF_NOEXIST))              \
		return 0;                                                      \
	if (enlist##V(scratch, k, flow->born)) {                               \
		bpf_map_delete_elem(&flows##V, k);                             \
		return 0;                                                      \
	}                                                                      \
	bind_dest(m->dest, ST_TEMPLATE);                                       \
	note(k, sizeof(*k), ST_TEMPLATE);                                      \
	return 1;                                                              \
}

DEFINE_REMEMBER(4)
DEFINE_REMEMBER(6)

/* remember_client makes the template of a packet's sender. */
static __noinline int remember_client(const struct service *s, const struct packet *p, __u32 dest)
{
	struct memory m = { dest, s->persistence, s->mark, s->sticky_bits };
	struct key6 t;
	struct key4 n;

	template_key(&t, p->saddr, p->daddr, p->dport, p->protocol, p->family, s->sticky_bits,
		     template_kind(s), s->mark);
	if (p->family != 4)
		return remember6(&t, &m, 0);
	narrow(&n, &t);
	return remember4(&n, &m, 0);
}

static __always_inline int no_source(void)
{
	count_drop(DROP_NO_ROUTE);
	return V_DROP;
}

static __noinline int new_flow4(struct packet *p, const struct service *s, const struct dest *d)
{
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	struct flow4 *flow;

	if (!scratch)
		return V_DROP;
	flow = (void *)scratch->forward;
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->dest = p->dest;
	flow->state = first_state(p, d);
	flow->last = flow->changed = flow->born = now_tick();
	flow->mark = s->mark;
	if (s->persistence) {
		flow->flags = FLOW_HELD;
		flow->sticky_bits = s->sticky_bits;
		flow->sticky_kind = template_kind(s);
	}
	if (p->local)
		flow->flags |= FLOW_LOCAL;
	if (d->method == NAT || d->method == FULLNAT) {
		flow->flags |= FLOW_DESTINATION;
		flow->new_daddr = d->addr[0];
		flow->new_dport = d->port ? d->port : p->dport;
	} else if (p->local && d->method != LOCAL) {
		/* A process that connects to a virtual address here has that
		 * address itself, which the server takes for its own: it gets to
		 * see this host's address towards it. */
		__u32 n = d->hop;
		struct hop *h = bpf_map_lookup_elem(&hops, &n);

		if (!h || !h->source4)
			return no_source();
		flow->flags |= FLOW_SOURCE | FLOW_DESTINATION;
		flow->new_saddr = h->source4;
		flow->new_sport = p->sport;
		flow->new_daddr = p->daddr[0];
		flow->new_dport = p->dport;
		return insert4(p, flow, FULLNAT);
	} else {
		flow->flags |= FLOW_NO_OUTPUT;
	}
	return insert4(p, flow, d->method);
}

static __noinline int new_flow6(struct packet *p, const struct service *s, const struct dest *d)
{
	__u32 zero = 0;
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);
	struct flow6 *flow;

	if (!scratch)
		return V_DROP;
	flow = (void *)scratch->forward;
	__builtin_memset(flow, 0, sizeof(*flow));
	flow->dest = p->dest;
	flow->state = first_state(p, d);
	flow->last = flow->changed = flow->born = now_tick();
	flow->mark = s->mark;
	if (s->persistence) {
		flow->flags = FLOW_HELD;
		flow->sticky_bits = s->sticky_bits;
		flow->sticky_kind = template_kind(s);
	}
	if (p->local)
		flow->flags |= FLOW_LOCAL;
	if (d->method == NAT || d->method == FULLNAT) {
		flow->flags |= FLOW_DESTINATION;
		copy16(flow->new_daddr, d->addr);
		flow->new_dport = d->port ? d->port : p->dport;
	} else if (p->local && d->method != LOCAL) {
		__u32 n = d->hop; /* see new_flow4 */
		struct hop *h = bpf_map_lookup_elem(&hops, &n);

		if (!h || !(h->source6[0] | h->source6[1] | h->source6[2] | h->source6[3]))
			return no_source();
		flow->flags |= FLOW_SOURCE | FLOW_DESTINATION;
		copy16(flow->new_saddr, h->source6);
		flow->new_sport = p->sport;
		copy16(flow->new_daddr, p->daddr);
		flow->new_dport = p->dport;
		return insert6(p, flow, FULLNAT);
	} else {
		flow->flags |= FLOW_NO_OUTPUT;
	}
	return insert6(p, flow, d->method);
}

/* expect4 and expect6 let the answers to a one-packet NAT flow pass back, with
 * the address that was asked last. */
#define DEFINE_EXPECT(V, SET_ADDR)                                             \
static __noinline void expect##V(const struct packet *p, const struct dest *d) \
{                                                                              \
	__u32 zero = 0;                                                        \
	struct scratch *scratch = bpf_map_lookup_elem(&scratches, &zero);      \
	struct key##V r = {};                                                  \
	struct flow##V *flow;                                                  \
                                                                               \
	if (!scratch)                                                          \
		return;                                                        \
	SET_ADDR(r.saddr, d->addr);                                            \
	SET_ADDR(r.daddr, p->saddr);                                           \
	r.sport = d->port ? d->port : p->dport;                                \
	r.dport = p->sport;                                                    \
	r.protocol = p->protocol;                                              \
	flow = bpf_map_lookup_elem(&flows##V, &r);                             \
	if (flow && flow->flags & FLOW_ORPHAN) {                               \
		flow->dest = p->dest;                                          \
		flow->last = now_tick();                                       \
		SET_ADDR(flow->new_saddr, p->daddr);                           \
		flow->new_sport = p->dport;                                    \
		forget_fast##V(&r, flow);                                      \
		return;                                                        \
	}                                                                      \
	flow = (void *)scratch->reverse;                                       \
	__builtin_memset(flow, 0, sizeof(*flow));                              \
	flow->state = ST_UDP;                                                  \
	flow->dest = p->dest;                                                  \
	flow->last = flow->born = now_tick();                                  \
	flow->flags = FLOW_REVERSE | FLOW_SOURCE | FLOW_ORPHAN;                \
	SET_ADDR(flow->new_saddr, p->daddr);                                   \
	SET_ADDR(flow->new_daddr, p->saddr);                                   \
	flow->new_sport = p->dport;                                            \
	flow->new_dport = p->sport;                                            \
	if (bpf_map_update_elem(&flows##V, &r, flow, BPF_NOEXIST))             \
		return;                                                        \
	if (enlist##V(scratch, &r, flow->born))                                \
		bpf_map_delete_elem(&flows##V, &r);                            \
}

DEFINE_EXPECT(4, SET_ADDR4)
DEFINE_EXPECT(6, SET_ADDR6)

/* schedule finds a server for a packet without a flow and makes the flow. The
 * verifier sees it once, apart from the rest. */
__noinline int schedule(struct packet *p)
{
	struct configuration *set;
	struct counters *c;
	struct service *s;
	struct dest *d;
	__u32 zero = 0, dest = 0, set_flags;
	int verdict;

	if (!p)
		return V_PASS;
	set = bpf_map_lookup_elem(&settings, &zero);
	if (!set)
		return V_PASS;
	set_flags = set->flags;
#ifndef CTX_HAS_MARK
	/* Marks come later: the program behind this one begins all flows. */
	if (set_flags & SET_MARKS)
		return V_PASS;
#endif
	s = find_service(p, set_flags);
	if (!s)
		return V_PASS;
	if (p->protocol == IPPROTO_TCP) {
		if (p->tcp_flags & TCP_RST)
			return V_PASS;
		if (!(p->tcp_flags & TCP_SYN)) {
			if (!(s->flags & SERVICE_SLOPPY)) {
				if (p->local || !was_full(s))
					return V_PASS;
				p->dest = by_hash(s, p);
				return p->dest ? V_STATELESS : V_PASS;
			}
		} else if (p->tcp_flags & TCP_ACK) {
			return V_PASS;
		} else if (s->syn_limit && over_syn_limit(s, bpf_ktime_get_coarse_ns())) {
			count_drop(DROP_SYN_LIMIT);
			return V_DROP;
		}
	}
	if (s->persistence)
		dest = template_dest(s, p, set_flags);
	if (!dest) {
		/* What nobody may remember goes where all packets of it will go. */
		if (!is_hashing(s) && was_full(s))
			dest = by_hash(s, p);
		if (!dest)
			dest = next_server(s, p);
		if (!dest) {
			count_drop(DROP_NO_SERVER);
			return V_UNREACHABLE;
		}
		if (s->persistence)
			remember_client(s, p, dest);
	}
	p->dest = dest;
	d = bpf_map_lookup_elem(&dests, &dest);
	c = bpf_map_lookup_elem(&dest_counters, &dest);
	if (!d || !c)
		return V_DROP;
	/* A list that is read while others get its place. */
	if (d->service != s->id) {
		count_drop(DROP_NO_SERVER);
		return V_DROP;
	}
	/* The answers to a process here need a flow. */
	if (s->flags & SERVICE_ONE_PACKET && p->protocol == IPPROTO_UDP && !p->local) {
		c->connections++;
		if (d->method == NAT || d->method == FULLNAT)
			p->family == 4 ? expect4(p, d) : expect6(p, d);
		return V_STATELESS;
	}
	verdict = p->family == 4 ? new_flow4(p, s, d) : new_flow6(p, s, d);
	if (verdict == V_FORWARD && p->new_flow)
		c->connections++;
	if (verdict == V_STATELESS) {
		count_drop(DROP_STATELESS);
		note_full(s);
		if (!is_hashing(s))
			dest = by_hash(s, p);
		if (!dest) {
			count_drop(DROP_TABLE_FULL);
			return V_DROP;
		}
		p->dest = dest;
	}
	return verdict;
}
