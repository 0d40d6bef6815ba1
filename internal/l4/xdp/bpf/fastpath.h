/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The short way through the director: what core.h does to a packet of a flow,
 * for plain packets of flows that fast.h has. Whatever is not plain is left to
 * the long way, untouched and uncounted. */
#pragma once

#define LONG_WAY 0x101

/* What the short way can do. A server's method may change to LOCAL while it has
 * flows. */
#define FAST_METHOD(method) ((method) != LOCAL && (method) != TUN)

/* plain4 is whether a frame's headers are as parse4 wants them, without any that
 * would need more of a look. */
static __always_inline int plain4(ctx_t *ctx, const struct ip4 *ip, const struct ports *ports)
{
	const __u32 *w = (const void *)ip;
	__u32 length = bpf_ntohs(ip->length), room = length - IP4_LEN;
	const __u8 *h = (const void *)ports;

	if (ip->version_ihl != 0x45 || ip->fragment & bpf_htons(IP4_MF | IP4_OFFSET) || ip->ttl <= 1 ||
	    length < IP4_LEN + UDP_LEN || length + ETH_LEN > ctx_length(ctx) ||
	    fold((__u64)w[0] + w[1] + w[2] + w[3] + w[4]) != 0xffff)
		return 0;
	if (ip->protocol == IPPROTO_TCP) {
		__u32 header;

		if ((void *)(h + TCP_LEN) > ctx_end(ctx))
			return 0;
		header = (h[12] >> 4) * 4;
		return header >= TCP_LEN && header <= room &&
		       (h[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_ACK;
	}
	if (ip->protocol == IPPROTO_UDP) {
		__u32 n = bpf_ntohs(*(__be16 *)(h + 4));

		return n >= UDP_LEN && n <= room;
	}
	return 0;
}

/* rewrite_fast4 is nat4 with what the entry knows beforehand. */
static __always_inline int rewrite_fast4(ctx_t *ctx, const struct fast4 *e, int udp)
{
	__u8 *data;
	struct ip4 *ip;

	if (ctx_l4_sum(ctx, ETH_LEN + IP4_LEN + (udp ? 6 : 16), e->addresses, e->changes, 1, e->changes != 0, udp))
		return -1;
	data = ctx_data(ctx);
	ip = (void *)(data + ETH_LEN);
	if ((void *)(data + ETH_LEN + IP4_LEN + sizeof(struct ports)) > ctx_end(ctx))
		return -1;
	ip->saddr = e->new_saddr;
	ip->daddr = e->new_daddr;
	ip->ttl--;
	ip->check = ~fold((__u16)~ip->check + (__u64)e->addresses + TTL_LESS);
	*(__u32 *)(ip + 1) = e->new_ports;
	return 0;
}

/* fast_fits is fits, for these. */
static __always_inline int fast_fits(ctx_t *ctx, const struct ip4 *ip, __u32 mtu)
{
	const __u8 *h = (const void *)(ip + 1);
	__u32 length = bpf_ntohs(ip->length), segment, header = UDP_LEN;

	if (!mtu || length <= mtu)
		return 1;
	segment = ctx_gso_size(ctx);
	if (!segment || (void *)(h + TCP_LEN) > ctx_end(ctx))
		return 0;
	if (ip->protocol == IPPROTO_TCP)
		header = h[12] >> 4 << 2;
	return segment + IP4_LEN + header <= mtu;
}

/* fast_forward4 sends a plain packet of a flow that this CPU has an entry of, or
 * says LONG_WAY. A call, as the long way has no stack to spare for it. */
static __noinline int fast_forward4(ctx_t *ctx)
{
	__u8 *data = ctx_data(ctx);
	struct ip4 *ip = (void *)(data + ETH_LEN);
	struct ports *ports = (void *)(ip + 1);
	__u32 n, kind, length, cpu = bpf_get_smp_processor_id();
	struct fast_set *set;
	struct learned_hop *back = 0;
	struct hop *h = 0;
	struct fast4 *e;
	struct dest *d;
	__u64 hash;
	__u8 *tags;

	if ((void *)(data + ETH_LEN + IP4_LEN + UDP_LEN) > ctx_end(ctx) || !plain4(ctx, ip, ports))
		return LONG_WAY;
	n = *(__u32 *)ports;
	hash = fast_hash(ip->saddr, ip->daddr, n);
	tags = fast_tags_of(cpu, hash);
	if (!tags || (tags[0] != FAST_TAG(hash) && tags[1] != FAST_TAG(hash)))
		return LONG_WAY;
	set = fast_set_of(cpu, hash);
	if (!set)
		return LONG_WAY;
	e = &set->way[0];
	if (tags[0] != FAST_TAG(hash) || !is_fast(e, ip->saddr, ip->daddr, n, ip->protocol)) {
		e = &set->way[1];
		if (!is_fast(e, ip->saddr, ip->daddr, n, ip->protocol))
			return LONG_WAY;
	}
	if (now_tick() - e->last >= REFRESH_TICKS || !ctx_same(ctx, e))
		return LONG_WAY;
	kind = e->kind;
	n = e->dest;
	d = bpf_map_lookup_elem(&dests, &n);
	if (!d || !(d->flags & DEST_AVAILABLE) || !FAST_METHOD(d->method))
		return LONG_WAY;
	length = bpf_ntohs(ip->length);
	if (kind & FLOW_REVERSE) {
		n = e->way - 1;
		back = bpf_map_lookup_elem(&learned_hops, &n);
		if (!back || !ctx_sends(ctx, back->ifindex) || !fast_fits(ctx, ip, back->mtu))
			return LONG_WAY;
		count_out(e->dest, ctx_segments(ctx), length);
	} else {
		n = d->hop;
		h = bpf_map_lookup_elem(&hops, &n);
		if (!h || !(h->flags & HOP_MAC) || !ctx_sends(ctx, h->ifindex) ||
		    !fast_fits(ctx, ip, h->mtu))
			return LONG_WAY;
		count_in(e->dest, ctx_segments(ctx), length);
	}
	if (kind & (FLOW_SOURCE | FLOW_DESTINATION)) {
		if (rewrite_fast4(ctx, e, kind >> 8 == IPPROTO_UDP))
			return drop(DROP_INTERNAL);
	} else {
		ip->ttl--;
		ip->check = ~fold((__u16)~ip->check + (__u64)TTL_LESS);
	}
	if (set_macs(ctx, back ? back->mac : h->mac))
		return drop(DROP_INTERNAL);
	return ctx_redirect(ctx, back ? back->ifindex : h->ifindex);
}

/* After so long without a packet, the next one may be as late, and an entry made
 * for nothing. */
#define FAST_SELDOM (2 * REFRESH_TICKS)

/* note_fast4 makes the entry of a flow whose packet the long way sends on. Not
 * of one that had none for a while: its next one may be as late. */
static __noinline int note_fast4(ctx_t *ctx, const struct packet *p, struct flow4 *f, __u32 way)
{
	__u32 cpu = bpf_get_smp_processor_id(), ports = p->sport | (__u32)p->dport << 16, old, holder, i;
	__be32 saddr = p->saddr[0], daddr = p->daddr[0];
	__u32 last = f->last, state = f->state;
	__be16 sport = p->sport, dport = p->dport;
	struct fast4 *e = 0;
	struct fast_set *set;
	__u64 hash;
	__u8 *tags;

	if (state != (p->protocol == IPPROTO_TCP ? ST_ESTABLISHED : ST_UDP) || cpu >= FAST_CPUS)
		return 0;
	old = *FAST_WORD(f);
	holder = old >> FAST_SHIFT & 0xff;
	if (holder && holder != cpu + 1)
		return 0;
	hash = fast_hash(saddr, daddr, ports);
	set = fast_set_of(cpu, hash);
	tags = fast_tags_of(cpu, hash);
	if (!set || !tags)
		return 0;
#pragma unroll
	for (i = 0; i < FAST_WAYS; i++) {
		struct fast4 *one = &set->way[i];

		if (is_fast(one, saddr, daddr, ports, p->protocol)) {
			e = one;
			break;
		}
		if (!e && (!one->kind || now_tick() - one->last >= REFRESH_TICKS))
			e = one;
	}
	if (!e)
		return 0;
	if (!holder &&
	    __sync_val_compare_and_swap(FAST_WORD(f), old, old | (cpu + 1) << FAST_SHIFT) != old)
		return 0;
	tags[e == &set->way[1]] = FAST_TAG(hash);
	e->kind = 0;
	e->saddr = saddr;
	e->daddr = daddr;
	e->ports = ports;
	e->last = last;
	e->dest = f->dest;
	e->way = way;
	{
		__u64 addresses = 0, changes = 0;

		if (f->flags & FLOW_DESTINATION) {
			addresses = difference(addresses, daddr, f->new_daddr);
			changes = difference(changes, dport, f->new_dport);
			daddr = f->new_daddr;
			dport = f->new_dport;
		}
		if (f->flags & FLOW_SOURCE) {
			addresses = difference(addresses, saddr, f->new_saddr);
			changes = difference(changes, sport, f->new_sport);
			saddr = f->new_saddr;
			sport = f->new_sport;
		}
		e->new_saddr = saddr;
		e->new_daddr = daddr;
		e->new_ports = sport | (__u32)dport << 16;
		e->addresses = fold32(addresses);
		e->changes = e->new_ports == ports ? 0 : fold32(changes);
	}
	ctx_note(ctx, e);
	__sync_lock_test_and_set(&e->kind, FAST_KIND(p->protocol, f->flags));
	/* Whoever ends the flow takes flow.fast away first, and then the entry. */
	if (f->state != state || f->fast != cpu + 1)
		__sync_lock_test_and_set(&e->kind, 0);
	return 0;
}
