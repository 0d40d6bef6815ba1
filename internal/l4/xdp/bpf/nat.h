/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Rewriting addresses and ports, and the checksums over them. */
#pragma once

struct rewrite4 {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 flags;
};

/* The TTL is the first byte of its 16-bit word: one less is this much more in
 * a ones' complement sum. */
#define TTL_LESS bpf_htons(0xfeff)

static __always_inline int nat4(ctx_t *ctx, const struct packet *p, const struct rewrite4 *r)
{
	__be32 saddr = p->saddr[0], daddr = p->daddr[0];
	__be16 sport = p->sport, dport = p->dport;
	__u64 addresses = 0, ports = 0;
	struct ip4 *ip;
	__u8 *data;
	__u32 l4 = p->l4;

	if (r->flags & FLOW_DESTINATION) {
		addresses = difference(addresses, daddr, r->daddr);
		ports = difference(ports, dport, r->dport);
		daddr = r->daddr;
		dport = r->dport;
	}
	if (r->flags & FLOW_SOURCE) {
		addresses = difference(addresses, saddr, r->saddr);
		ports = difference(ports, sport, r->sport);
		saddr = r->saddr;
		sport = r->sport;
	}
	if (p->fragment != 2) {
		int udp = p->protocol == IPPROTO_UDP;

		if (ctx_l4_sum(ctx, l4 + (udp ? 6 : 16), fold32(addresses), fold32(ports), 1,
			       sport != p->sport || dport != p->dport, udp))
			return -1;
	}
	data = ctx_data(ctx);
	ip = (void *)(data + ETH_LEN);
	if ((void *)(ip + 1) > ctx_end(ctx))
		return -1;
	ip->saddr = saddr;
	ip->daddr = daddr;
	ip->ttl--;
	ip->check = ~fold((__u16)~ip->check + (__u64)fold32(addresses) + TTL_LESS);
	if (p->fragment != 2) {
		struct ports *to = (void *)(data + (l4 & 0x1ff));

		if ((void *)(to + 1) > ctx_end(ctx))
			return -1;
		to->source = sport;
		to->dest = dport;
	}
	return 0;
}

struct rewrite6 {
	const __be32 *saddr, *daddr;
	__be16 sport, dport;
	__u8 flags;
};

static __always_inline int nat6(ctx_t *ctx, const struct packet *p, const struct rewrite6 *r)
{
	__be16 sport = p->sport, dport = p->dport;
	__u64 addresses = 0, ports = 0;
	struct ip6 *ip;
	__u8 *data;
	__u32 l4 = p->l4, i;

	if (r->flags & FLOW_DESTINATION) {
#pragma unroll
		for (i = 0; i < 4; i++)
			addresses = difference(addresses, p->daddr[i], r->daddr[i]);
		ports = difference(ports, dport, r->dport);
		dport = r->dport;
	}
	if (r->flags & FLOW_SOURCE) {
#pragma unroll
		for (i = 0; i < 4; i++)
			addresses = difference(addresses, p->saddr[i], r->saddr[i]);
		ports = difference(ports, sport, r->sport);
		sport = r->sport;
	}
	if (p->fragment != 2) {
		int udp = p->protocol == IPPROTO_UDP;

		if (ctx_l4_sum(ctx, l4 + (udp ? 6 : 16), fold32(addresses), fold32(ports), 1,
			       sport != p->sport || dport != p->dport, udp))
			return -1;
	}
	data = ctx_data(ctx);
	ip = (void *)(data + ETH_LEN);
	if ((void *)(ip + 1) > ctx_end(ctx))
		return -1;
	if (r->flags & FLOW_SOURCE)
		copy16(ip->saddr, r->saddr);
	if (r->flags & FLOW_DESTINATION)
		copy16(ip->daddr, r->daddr);
	ip->hop_limit--;
	if (p->fragment != 2) {
		struct ports *to = (void *)(data + (l4 & 0x1ff));

		if ((void *)(to + 1) > ctx_end(ctx))
			return -1;
		to->source = sport;
		to->dest = dport;
	}
	return 0;
}

/* age lowers the hop limit of a packet that is otherwise left as it is. */
static __always_inline int age(ctx_t *ctx, const struct packet *p)
{
	__u8 *data = ctx_data(ctx);

	if (p->family == 4) {
		struct ip4 *ip = (void *)(data + ETH_LEN);

		if ((void *)(ip + 1) > ctx_end(ctx))
			return -1;
		ip->ttl--;
		ip->check = ~fold((__u16)~ip->check + (__u64)TTL_LESS);
	} else {
		struct ip6 *ip = (void *)(data + ETH_LEN);

		if ((void *)(ip + 1) > ctx_end(ctx))
			return -1;
		ip->hop_limit--;
	}
	return 0;
}
