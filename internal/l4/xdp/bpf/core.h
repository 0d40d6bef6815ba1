/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The director: what happens to a packet, from its first byte to the verdict. */
#pragma once

/* fits is whether a packet goes over a link with room for n more bytes. */
static __always_inline int fits(ctx_t *ctx, const struct packet *p, __u32 mtu, __u32 more)
{
	__u32 segment, header = UDP_LEN;
	__u8 *h;

	if (!mtu || p->length + more <= mtu)
		return 1;
	segment = ctx_gso_size(ctx);
	if (!segment)
		return 0;
	/* A packet of several segments is cut to size behind us. An outer header
	 * has TCP's segments cut shorter. */
	if (p->protocol == IPPROTO_TCP) {
		h = (__u8 *)ctx_data(ctx) + (p->l4 & 0x1ff);
		more = 0;
		header = (void *)(h + TCP_LEN) > ctx_end(ctx) ? 60 : h[12] >> 4 << 2;
	}
	return segment + (p->l4 - ETH_LEN) + header + more <= mtu;
}

static __always_inline int wrap(ctx_t *ctx, const struct packet *p, const struct dest *d, const struct hop *h)
{
	return d->family == 4 ? wrap4(ctx, p, h->source4, d->addr[0]) : wrap6(ctx, p, h->source6, d->addr);
}

/* send_to_server does to a packet what the server's method asks, where its
 * addresses stay as they are. */
static __always_inline int send_to_server(ctx_t *ctx, struct packet *p, const struct dest *d, const struct hop *h)
{
	__u32 more = 0;

	if (d->method == TUN)
		more = d->family == 4 ? IP4_LEN : IP6_LEN;
	if (!fits(ctx, p, h->mtu, more)) {
		/* Nobody here could cut it, so the sender is told, also where it had
		 * allowed others to. */
		count_drop(DROP_TOO_BIG);
		return complain(ctx, p, TOO_BIG, h->mtu - more);
	}
	if (age(ctx, p))
		return drop(DROP_INTERNAL);
	if (d->method == TUN && wrap(ctx, p, d, h))
		return drop(DROP_INTERNAL);
	return transmit(ctx, h);
}

static __always_inline void count_in(__u32 dest, __u32 packets, __u32 bytes)
{
	struct counters *c = bpf_map_lookup_elem(&dest_counters, &dest);

	if (c) {
		c->packets_in += packets;
		c->bytes_in += bytes;
	}
}

static __always_inline void count_out(__u32 dest, __u32 packets, __u32 bytes)
{
	struct counters *c = bpf_map_lookup_elem(&dest_counters, &dest);

	if (c) {
		c->packets_out += packets;
		c->bytes_out += bytes;
	}
}

#include "fastpath.h"

/* follow does what is seldom: following TCP, and noting the time of the last
 * packet, also in the forward entry and in the client's template. */
#define DEFINE_FOLLOW(V)                                                       \
static __noinline void follow##V(const struct packet *p, struct flow##V *f)    \
{                                                                              \
	__u32 tick = now_tick(), direction, was;                               \
	struct flow##V *owner = f;                                             \
	struct key##V k;                                                       \
                                                                               \
	f->last = tick;                                                        \
	key##V##_of(&k, p);                                                    \
	forget_fast##V(&k, f);                                                 \
	if (f->flags & FLOW_REVERSE) {                                         \
		if (f->flags & FLOW_ORPHAN)                                    \
			return;                                                \
		COPY_ADDR##V(k.saddr, f->new_daddr);                           \
		COPY_ADDR##V(k.daddr, f->new_saddr);                           \
		k.sport = f->new_dport;                                        \
		k.dport = f->new_sport;                                        \
		owner = bpf_map_lookup_elem(&flows##V, &k);                    \
		if (!owner)                                                    \
			return;                                                \
		owner->last = tick;                                            \
	}                                                                      \
	owner->flags &= ~FLOW_SYNCED; /* it is known here */                   \
	if (owner->flags & FLOW_HELD) {                                        \
		struct key6 t;                                                 \
		HOLD##V                                                        \
	}                                                                      \
	if (p->protocol != IPPROTO_TCP || p->icmp || p->fragment == 2)         \
		return;                                                        \
	direction = f->flags & FLOW_REVERSE ? DIR_OUT :                        \
		    f->flags & FLOW_NO_OUTPUT ? DIR_IN_ONLY : DIR_IN;          \
	was = owner->state;                                                    \
	track(&owner->state, &owner->changed, owner->dest, direction,          \
	      p->tcp_flags, tick);                                             \
	if (f != owner)                                                        \
		f->state = owner->state;                                       \
	if (owner->state != was) {                                             \
		forget_fast##V(&k, owner);                                     \
		note(&k, sizeof(k), owner->state);                             \
	}                                                                      \
}

#define HOLD4                                                                  \
	struct key4 n;                                                         \
	__be32 c[4] = { k.saddr }, v[4] = { k.daddr };                         \
	struct flow4 *held;                                                    \
	template_key(&t, c, v, k.dport, k.protocol, 4, owner->sticky_bits,     \
		     owner->sticky_kind, owner->mark);                         \
	narrow(&n, &t);                                                        \
	held = bpf_map_lookup_elem(&flows4, &n);                               \
	if (held)                                                              \
		held->last = tick;
#define HOLD6                                                                  \
	struct flow6 *held;                                                    \
	template_key(&t, k.saddr, k.daddr, k.dport, k.protocol, 6, owner->sticky_bits, \
		     owner->sticky_kind, owner->mark);                         \
	held = bpf_map_lookup_elem(&flows6, &t);                               \
	if (held)                                                              \
		held->last = tick;

DEFINE_FOLLOW(4)
DEFINE_FOLLOW(6)

/* busy is whether there is something to note about a packet of a flow. */
#define BUSY(p, f)                                                             \
	((p)->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST) ||                     \
	 ((p)->protocol == IPPROTO_TCP && (f)->state != ST_ESTABLISHED) ||     \
	 now_tick() - (f)->last >= REFRESH_TICKS)

/* over is whether a SYN begins a new connection on the ports of one that has
 * ended, as IPVS's conn_reuse_mode 1 sees it. */
static __always_inline int over(const struct packet *p, __u32 state, __u8 flags)
{
	if ((p->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN || flags & FLOW_REVERSE || p->icmp)
		return 0;
	return state == ST_TIME_WAIT || state == ST_CLOSE ||
	       (state == ST_FIN_WAIT && flags & FLOW_NO_OUTPUT);
}

#define DEFINE_END(V)                                                          \
static __noinline void end##V(const struct key##V *k, struct flow##V *f)       \
{                                                                              \
	struct key##V r;                                                       \
                                                                               \
	if (!retire(&f->state, f->dest))                                       \
		return;                                                        \
	if (f->flags & FLOW_DESTINATION) {                                     \
		reverse##V(&r, k, f);                                         \
		forget_fast_answers##V(&r);                                    \
		bpf_map_delete_elem(&flows##V, &r);                            \
	}                                                                      \
	forget_fast##V(k, f);                                                  \
	bpf_map_delete_elem(&flows##V, k);                                     \
}

DEFINE_END(4)
DEFINE_END(6)

/* gone is what happens to a packet whose server was removed: it is dropped
 * until the flow times out, or the flow ends at once. */
static __always_inline int expire_at_once(void)
{
	__u32 zero = 0;
	struct configuration *s = bpf_map_lookup_elem(&settings, &zero);

	return s && s->flags & SET_EXPIRE_NO_DEST;
}

/* way_back finds the next hop to a NAT flow's client, before anything is
 * rewritten. hop and hop_tick are the flow's. 0: as verdict says. */
static __always_inline __u32 way_back(ctx_t *ctx, const struct packet *p, const __be32 *client,
				      __u32 *hop, __u32 *hop_tick, int *verdict)
{
	__u32 n = *hop, tick = now_tick();

	if (!n || tick - *hop_tick >= LEARN_TICKS) {
		n = learn(ctx, p, client, verdict);
		*hop = n;
		*hop_tick = tick;
	}
#ifndef CTX_HAS_NEIGHBOR
	if (n) {
		__u32 at = n - 1;
		struct learned_hop *h = bpf_map_lookup_elem(&learned_hops, &at);

		if (!h || !ctx_reaches(ctx, h->ifindex))
			return 0;
	}
#endif
	return n;
}

#ifdef CTX_HAS_NEIGHBOR
/* clamp makes the first option of a SYN, which is the largest segment in those
 * of all common systems, no larger than fits. */
static __noinline int clamp(ctx_t *ctx, const struct packet *p, __u32 most)
{
	__u8 option[4];
	__be16 old, new = bpf_htons(most);

	if (ctx_load(ctx, p->l4 + TCP_LEN, option, sizeof(option)) || option[0] != 2 || option[1] != 4 ||
	    (option[2] << 8 | option[3]) <= most)
		return 0;
	__builtin_memcpy(&old, option + 2, 2);
	if (ctx_store(ctx, p->l4 + TCP_LEN + 2, &new, 2))
		return -1;
	return bpf_l4_csum_replace(ctx, p->l4 + 16, old, new, 2);
}
#endif

/* deliver gives an answer to a process on this host. Its source is an address
 * of this host, which the stack takes from the loopback only. The loopback's
 * routes know of no smaller packets, so a process is told in the beginning what
 * fits into a tunnel. */
static __always_inline int deliver(ctx_t *ctx, const struct packet *p, const struct dest *d, const struct hop *h)
{
#ifdef CTX_HAS_NEIGHBOR
	__u32 mac[3] = {}, more = p->l4 - ETH_LEN + TCP_LEN + (d->family == 4 ? IP4_LEN : IP6_LEN);

	if (d->method == TUN && p->protocol == IPPROTO_TCP && p->tcp_flags & TCP_SYN &&
	    h->mtu > more && clamp(ctx, p, h->mtu - more))
		return drop(DROP_INTERNAL);
	if (set_macs(ctx, mac))
		return drop(DROP_INTERNAL);
	return ctx_deliver(ctx);
#else
	return CTX_PASS;
#endif
}

/* fits_back is whether an answer goes over the link to its client; if not, mtu
 * is what does. */
static __always_inline int fits_back(ctx_t *ctx, const struct packet *p, __u32 way, __u32 *mtu)
{
	__u32 at = way - 1;
	struct learned_hop *h = way ? bpf_map_lookup_elem(&learned_hops, &at) : 0;

	if (!h)
		return 1;
	*mtu = h->mtu;
	return fits(ctx, p, h->mtu, 0);
}

/* Where a program cannot have the kernel find a neighbour, or cannot send out of
 * an interface, the packet is left as it is to the program behind it that can (tc
 * behind XDP). */
#ifdef CTX_HAS_NEIGHBOR
#define CANNOT(ctx, h) 0
#define NO_WAY(way) 0
#define LEFT(flags) 0
#else
#define CANNOT(ctx, h) (!((h)->flags & HOP_MAC) || !ctx_reaches(ctx, (h)->ifindex))
#define NO_WAY(way) (!(way))
#define LEFT(flags) ((flags) & FLOW_LOCAL)
#endif

/* Whether packets of a flow can go the short way. */
#define HAS_FAST(p, flags, method, way)                                        \
	(!(p)->local && !(p)->behind && !(p)->icmp && !(p)->fragment && FAST_METHOD(method) && \
	 !((flags) & FLOW_LOCAL) && (!((flags) & FLOW_REVERSE) || (way)))

/* forward4 and forward6 send a packet the way of its flow. The verifier counts
 * the stack of a whole chain of calls, so the larger one is a call. */
FORWARD4 int forward4(ctx_t *ctx, struct packet *p, const struct key4 *k, struct flow4 *f)
{
	__u32 dest = f->dest, n, more = 0, mtu = 0;
	__u8 flags = f->flags;
	__u32 way = 0;
	int verdict = CTX_PASS, seldom;
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct rewrite4 r;
	struct hop *h;

	if (!d)
		return drop(DROP_INTERNAL);
	if (LEFT(flags))
		return CTX_PASS;
	if (!(d->flags & DEST_AVAILABLE)) {
		if (!(flags & FLOW_REVERSE) && expire_at_once())
			end4(k, f);
		return drop(DROP_SERVER_GONE);
	}
	n = d->hop;
	h = bpf_map_lookup_elem(&hops, &n);
	if (!h)
		return drop(DROP_INTERNAL);
	if (!(flags & FLOW_REVERSE) && d->method != LOCAL && CANNOT(ctx, h))
		return CTX_PASS;
	seldom = now_tick() - f->last >= FAST_SELDOM || p->new_flow || p->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST);
	if (BUSY(p, f))
		follow4(p, f);
	if ((flags & (FLOW_REVERSE | FLOW_LOCAL)) == FLOW_REVERSE) {
		__be32 client[4] = { f->new_daddr };

		way = way_back(ctx, p, client, &f->hop, &f->hop_tick, &verdict);
		if (NO_WAY(way))
			return CTX_PASS;
	}
	if (flags & FLOW_REVERSE)
		count_out(dest, ctx_segments(ctx), p->length);
	else
		count_in(dest, ctx_segments(ctx), p->length);
	if (p->ttl <= 1 && d->method != LOCAL) {
		count_drop(DROP_TTL);
		return complain(ctx, p, TTL_EXCEEDED, 0);
	}
	if (!seldom && HAS_FAST(p, flags, d->method, way))
		note_fast4(ctx, p, f, way);
	if (!(flags & (FLOW_SOURCE | FLOW_DESTINATION))) {
		if (d->method == LOCAL)
			return CTX_PASS;
		return send_to_server(ctx, p, d, h);
	}
	if (!fits_back(ctx, p, way, &mtu)) {
		count_drop(DROP_TOO_BIG);
		return complain(ctx, p, TOO_BIG, mtu);
	}
	if ((flags & (FLOW_REVERSE | FLOW_LOCAL)) == FLOW_LOCAL && d->method == TUN)
		more = d->family == 4 ? IP4_LEN : IP6_LEN;
	if (!(flags & FLOW_REVERSE) && !fits(ctx, p, h->mtu, more)) {
		count_drop(DROP_TOO_BIG);
		return complain(ctx, p, TOO_BIG, h->mtu - more);
	}
	if (p->icmp) {
		if (translate_error4(ctx, p, f))
			return drop(DROP_INTERNAL);
	} else {
		r.flags = flags;
		r.saddr = f->new_saddr;
		r.daddr = f->new_daddr;
		r.sport = f->new_sport;
		r.dport = f->new_dport;
		if (nat4(ctx, p, &r))
			return drop(DROP_INTERNAL);
	}
	if (flags & FLOW_REVERSE)
		return flags & FLOW_LOCAL ? deliver(ctx, p, d, h) : answer(ctx, way, verdict);
	if (more && wrap(ctx, p, d, h))
		return drop(DROP_INTERNAL);
	return transmit(ctx, h);
}

static __noinline int forward6(ctx_t *ctx, struct packet *p, const struct key6 *k, struct flow6 *f)
{
	__u32 dest = f->dest, n, more = 0, mtu = 0;
	__u8 flags = f->flags;
	__u32 way = 0;
	int verdict = CTX_PASS;
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct rewrite6 r;
	struct hop *h;

	if (!d)
		return drop(DROP_INTERNAL);
	if (LEFT(flags))
		return CTX_PASS;
	if (!(d->flags & DEST_AVAILABLE)) {
		if (!(flags & FLOW_REVERSE) && expire_at_once())
			end6(k, f);
		return drop(DROP_SERVER_GONE);
	}
	n = d->hop;
	h = bpf_map_lookup_elem(&hops, &n);
	if (!h)
		return drop(DROP_INTERNAL);
	if (!(flags & FLOW_REVERSE) && d->method != LOCAL && CANNOT(ctx, h))
		return CTX_PASS;
	if (BUSY(p, f))
		follow6(p, f);
	if ((flags & (FLOW_REVERSE | FLOW_LOCAL)) == FLOW_REVERSE) {
		__be32 client[4];

		copy16(client, f->new_daddr);
		way = way_back(ctx, p, client, &f->hop, &f->hop_tick, &verdict);
		if (NO_WAY(way))
			return CTX_PASS;
	}
	if (flags & FLOW_REVERSE)
		count_out(dest, ctx_segments(ctx), p->length);
	else
		count_in(dest, ctx_segments(ctx), p->length);
	if (p->ttl <= 1 && d->method != LOCAL) {
		count_drop(DROP_TTL);
		return complain(ctx, p, TTL_EXCEEDED, 0);
	}
	if (!(flags & (FLOW_SOURCE | FLOW_DESTINATION))) {
		if (d->method == LOCAL)
			return CTX_PASS;
		return send_to_server(ctx, p, d, h);
	}
	if (!fits_back(ctx, p, way, &mtu)) {
		count_drop(DROP_TOO_BIG);
		return complain(ctx, p, TOO_BIG, mtu);
	}
	if ((flags & (FLOW_REVERSE | FLOW_LOCAL)) == FLOW_LOCAL && d->method == TUN)
		more = d->family == 4 ? IP4_LEN : IP6_LEN;
	if (!(flags & FLOW_REVERSE) && !fits(ctx, p, h->mtu, more)) {
		count_drop(DROP_TOO_BIG);
		return complain(ctx, p, TOO_BIG, h->mtu - more);
	}
	if (p->icmp) {
		if (translate_error6(ctx, p, f))
			return drop(DROP_INTERNAL);
	} else {
		r.flags = flags;
		r.saddr = f->new_saddr;
		r.daddr = f->new_daddr;
		r.sport = f->new_sport;
		r.dport = f->new_dport;
		if (nat6(ctx, p, &r))
			return drop(DROP_INTERNAL);
	}
	if (flags & FLOW_REVERSE)
		return flags & FLOW_LOCAL ? deliver(ctx, p, d, h) : answer(ctx, way, verdict);
	if (more && wrap(ctx, p, d, h))
		return drop(DROP_INTERNAL);
	return transmit(ctx, h);
}

/* forward_stateless sends a packet that no flow remembers. */
static __noinline int forward_stateless(ctx_t *ctx, struct packet *p)
{
	__u32 dest = p->dest, n;
	struct dest *d = bpf_map_lookup_elem(&dests, &dest);
	struct hop *h;

	if (!d)
		return drop(DROP_INTERNAL);
	n = d->hop;
	h = bpf_map_lookup_elem(&hops, &n);
	if (!h)
		return drop(DROP_INTERNAL);
	if (d->method != LOCAL && CANNOT(ctx, h))
		return CTX_PASS;
	count_in(dest, ctx_segments(ctx), p->length);
	if (d->method == LOCAL)
		return CTX_PASS;
	if (p->ttl <= 1) {
		count_drop(DROP_TTL);
		return complain(ctx, p, TTL_EXCEEDED, 0);
	}
	if (d->method == DR || d->method == TUN)
		return send_to_server(ctx, p, d, h);
	if (!fits(ctx, p, h->mtu, 0)) {
		count_drop(DROP_TOO_BIG);
		return complain(ctx, p, TOO_BIG, h->mtu);
	}
	if (p->family == 4) {
		struct rewrite4 r = { .daddr = d->addr[0], .flags = FLOW_DESTINATION };

		r.dport = d->port ? d->port : p->dport;
		if (nat4(ctx, p, &r))
			return drop(DROP_INTERNAL);
	} else {
		struct rewrite6 r = { .daddr = d->addr, .flags = FLOW_DESTINATION };

		r.dport = d->port ? d->port : p->dport;
		if (nat6(ctx, p, &r))
			return drop(DROP_INTERNAL);
	}
	return transmit(ctx, h);
}

static __always_inline void fragment_key_of(struct fragment_key *k, const struct packet *p)
{
	__builtin_memset(k, 0, sizeof(*k));
	copy16(k->saddr, p->saddr);
	copy16(k->daddr, p->daddr);
	k->id = p->fragment_id;
	k->protocol = p->protocol;
	k->family = p->family;
}

/* fragment notes the ports of a first fragment and gives them to those that
 * follow. One whose first did not come by is left to the stack, which never
 * gets the datagram together. */
static __noinline int fragment(struct packet *p)
{
	struct fragment_key k;
	struct fragment *seen, f = {};

	fragment_key_of(&k, p);
	if (p->fragment == 1) {
		f.sport = p->sport;
		f.dport = p->dport;
		f.tick = now_tick();
		bpf_map_update_elem(&fragments, &k, &f, BPF_ANY);
		return V_FORWARD;
	}
	seen = bpf_map_lookup_elem(&fragments, &k);
	if (!seen || now_tick() - seen->tick > FRAGMENT_TICKS) {
		count_drop(DROP_FRAGMENT);
		return V_PASS;
	}
	p->sport = seen->sport;
	p->dport = seen->dport;
	return V_FORWARD;
}

/* refuse is the verdict on a packet that scheduling did not let through. */
static __always_inline int refuse(ctx_t *ctx, struct packet *p, int verdict)
{
	if (verdict == V_PASS)
		return CTX_PASS;
	if (verdict == V_STATELESS)
		return forward_stateless(ctx, p);
	if (verdict == V_UNREACHABLE)
		return complain(ctx, p, UNREACHABLE, 0);
	return CTX_DROP;
}

/* answers4 and answers6 are whether a packet on the loopback is the answer of a
 * server on this host to a client on it. */
static __noinline int answers4(const struct packet *p)
{
	struct key4 k = {};

	k.saddr = p->daddr[0];
	k.daddr = p->saddr[0];
	k.sport = p->dport;
	k.dport = p->sport;
	k.protocol = p->protocol;
	return bpf_map_lookup_elem(&flows4, &k) != 0;
}

static __noinline int answers6(const struct packet *p)
{
	struct key6 k = {};

	copy16(k.saddr, p->daddr);
	copy16(k.daddr, p->saddr);
	k.sport = p->dport;
	k.dport = p->sport;
	k.protocol = p->protocol;
	return bpf_map_lookup_elem(&flows6, &k) != 0;
}

/* handle4 and handle6 send a packet of a flow, or say NEW. What begins flows is
 * called beside them, not by them: each call takes of the same 512 bytes of
 * stack. As they are not static, the verifier looks at each only once. */
#define NEW 0x100

__noinline int handle4(ctx_t *ctx, struct packet *p)
{
	struct flow4 *f;
	struct key4 k;

	if (!p)
		return CTX_DROP;
	key4_of(&k, p);
	f = bpf_map_lookup_elem(&flows4, &k);
	if (f && over(p, f->state, f->flags)) {
		end4(&k, f);
		f = 0;
	}
	return f ? forward4(ctx, p, &k, f) : NEW;
}

__noinline int handle6(ctx_t *ctx, struct packet *p)
{
	struct flow6 *f;
	struct key6 k;

	if (!p)
		return CTX_DROP;
	key6_of(&k, p);
	f = bpf_map_lookup_elem(&flows6, &k);
	if (f && over(p, f->state, f->flags)) {
		end6(&k, f);
		f = 0;
	}
	return f ? forward6(ctx, p, &k, f) : NEW;
}

static __always_inline int handle(ctx_t *ctx, struct packet *p)
{
	int verdict = p->family == 4 ? handle4(ctx, p) : handle6(ctx, p);

	if (verdict != NEW)
		return verdict;
	if (p->icmp || p->fragment == 2)
		return CTX_PASS;
	if (p->local && (p->family == 4 ? answers4(p) : answers6(p)))
		return CTX_PASS;
	verdict = schedule(p);
	if (verdict != V_FORWARD)
		return refuse(ctx, p, verdict);
	verdict = p->family == 4 ? handle4(ctx, p) : handle6(ctx, p);
	return verdict == NEW ? drop(DROP_INTERNAL) : verdict;
}

/* relay4 takes a router's word that a tunnelled packet is too big to the
 * client, whose packets are in the tunnel: outside there is nobody to send
 * smaller ones. */
static __noinline int relay4(ctx_t *ctx, struct packet *p)
{
	__u32 at = p->l4 + ICMP_LEN, way, hop = 0, hop_tick = 0, dest;
	struct ip4 tunnel, inner;
	struct ports ports;
	__u8 icmp[ICMP_LEN];
	struct key4 k = {};
	struct flow4 *f;
	struct dest *d;
	int verdict;
	__u32 mtu;

	if (ctx_load(ctx, p->l4, icmp, sizeof(icmp)) || ctx_load(ctx, at, &tunnel, sizeof(tunnel)) ||
	    ctx_load(ctx, at + IP4_LEN, &inner, sizeof(inner)) ||
	    ctx_load(ctx, at + 2 * IP4_LEN, &ports, sizeof(ports)))
		return CTX_PASS;
	mtu = icmp[6] << 8 | icmp[7];
	if (icmp[0] != 3 || icmp[1] != 4 || mtu < 68 + IP4_LEN || tunnel.version_ihl != 0x45 ||
	    inner.version_ihl != 0x45 || at + 2 * IP4_LEN + 8 > p->length + ETH_LEN)
		return CTX_PASS;
	k.saddr = inner.saddr;
	k.daddr = inner.daddr;
	k.sport = ports.source;
	k.dport = ports.dest;
	k.protocol = inner.protocol;
	f = bpf_map_lookup_elem(&flows4, &k);
	if (!f)
		return CTX_PASS;
	dest = f->dest;
	d = bpf_map_lookup_elem(&dests, &dest);
	if (!d || d->method != TUN || d->family != 4 || d->addr[0] != tunnel.daddr)
		return CTX_PASS;
	p->saddr[0] = inner.saddr;
	p->daddr[0] = inner.daddr;
	way = way_back(ctx, p, p->saddr, &hop, &hop_tick, &verdict);
	if (NO_WAY(way))
		return CTX_PASS;
	if (write_error4(ctx, p, TOO_BIG, mtu - IP4_LEN, at + IP4_LEN))
		return CTX_DROP;
	return answer(ctx, way, verdict);
}

static __noinline int relay6(ctx_t *ctx, struct packet *p)
{
	__u32 at = p->l4 + ICMP_LEN, way, hop = 0, hop_tick = 0, dest;
	struct ip6 tunnel, inner;
	struct ports ports;
	__u8 icmp[ICMP_LEN];
	struct key6 k = {};
	struct flow6 *f;
	struct dest *d;
	int verdict;
	__u32 mtu;

	if (ctx_load(ctx, p->l4, icmp, sizeof(icmp)) || ctx_load(ctx, at, &tunnel, sizeof(tunnel)) ||
	    ctx_load(ctx, at + IP6_LEN, &inner, sizeof(inner)) ||
	    ctx_load(ctx, at + 2 * IP6_LEN, &ports, sizeof(ports)))
		return CTX_PASS;
	mtu = icmp[4] << 24 | icmp[5] << 16 | icmp[6] << 8 | icmp[7];
	if (icmp[0] != 2 || mtu < 1280 || mtu > 65535 || at + 2 * IP6_LEN + 8 > p->length + ETH_LEN)
		return CTX_PASS;
	copy16(k.saddr, inner.saddr);
	copy16(k.daddr, inner.daddr);
	k.sport = ports.source;
	k.dport = ports.dest;
	k.protocol = inner.next;
	f = bpf_map_lookup_elem(&flows6, &k);
	if (!f)
		return CTX_PASS;
	dest = f->dest;
	d = bpf_map_lookup_elem(&dests, &dest);
	if (!d || d->method != TUN || d->family != 6 || !same16(d->addr, tunnel.daddr))
		return CTX_PASS;
	copy16(p->saddr, inner.saddr);
	copy16(p->daddr, inner.daddr);
	way = way_back(ctx, p, p->saddr, &hop, &hop_tick, &verdict);
	if (NO_WAY(way))
		return CTX_PASS;
	if (write_error6(ctx, p, TOO_BIG, mtu - IP6_LEN, at + IP6_LEN))
		return CTX_DROP;
	return answer(ctx, way, verdict);
}

/* Where a packet comes from, if not from outside. */
#define FROM_HERE 1	/* a process on this host */
#define FROM_BEHIND 2	/* netfilter */

static __always_inline int direct(ctx_t *ctx, int from)
{
	struct packet p = { .local = from & FROM_HERE, .behind = from >> 1 };
	__u16 type;
	int verdict;

	if (!from && ctx_is4(ctx)) {
		verdict = fast_forward4(ctx);
		if (verdict != LONG_WAY)
			return verdict;
	}
	if (!ctx_ours(ctx, &type))
		return CTX_PASS;
	if (type == ETHERTYPE_IP) {
		if (ctx_data(ctx) + ETH_LEN + IP4_LEN + TCP_LEN > ctx_end(ctx))
			ctx_pull(ctx, ETH_LEN + IP4_LEN + TCP_LEN + 40);
		verdict = parse4(ctx, &p);
	} else if (type == ETHERTYPE_IPV6) {
		if (ctx_data(ctx) + ETH_LEN + IP6_LEN + TCP_LEN > ctx_end(ctx))
			ctx_pull(ctx, ETH_LEN + IP6_LEN + TCP_LEN + 40);
		verdict = parse6(ctx, &p);
	} else {
		return CTX_PASS;
	}
	if (verdict != V_FORWARD)
		return CTX_PASS;
	p.mark = ctx_mark(ctx);
	if (p.icmp && parse_icmp(ctx, &p) != V_FORWARD) {
		if (p.family == 4 && p.protocol == IPPROTO_IPIP)
			return relay4(ctx, &p);
		if (p.family == 6 && p.protocol == IPPROTO_IPV6)
			return relay6(ctx, &p);
		return CTX_PASS;
	}
	if (p.fragment && fragment(&p) != V_FORWARD)
		return CTX_PASS;
	return handle(ctx, &p);
}
