/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* ICMP: telling senders what is wrong, and errors that belong to flows. */
#pragma once

#define QUOTE 48 /* how much of the packet an error quotes */
#define QUOTE_LONG 112 /* with IPv6, where the port may stand behind extension headers */

struct error4 {
	struct ip4 ip;
	__u8 type, code;
	__sum16 check;
	__be16 zero, mtu;
	__u8 quote[QUOTE];
} __attribute__((packed, aligned(4)));

struct error6 {
	struct ip6 ip;
	__u8 type, code;
	__sum16 check;
	__be32 mtu;
	__u8 quote[QUOTE_LONG];
} __attribute__((packed, aligned(4)));
_Static_assert(sizeof(struct error6) <= sizeof(((struct scratch *)0)->error), "an error of IPv6 is written there");

enum complaint { TOO_BIG, TTL_EXCEEDED, UNREACHABLE };

/* bounce swaps the hardware addresses and sends the frame back. */
static __always_inline int bounce(ctx_t *ctx)
{
	__u8 *data = ctx_data(ctx);
	__u32 mac[4];

	if ((void *)(data + ETH_LEN) > ctx_end(ctx))
		return CTX_DROP;
	__builtin_memcpy(mac, data + 6, 6);
	__builtin_memcpy((__u8 *)mac + 6, data, 6);
	set_macs(ctx, mac);
	return ctx_redirect(ctx, ctx_ifindex(ctx));
}

/* write_error4 turns the frame into an error from p's destination to its
 * source, about the packet that stands at an offset in it. */
__noinline int write_error4(ctx_t *ctx, const struct packet *p, __u32 what, __u32 mtu, __u32 at)
{
	struct error4 e = {};
	__u32 *w = (__u32 *)&e, i;
	__u64 sum = 0;
	__u16 n = ETH_LEN + sizeof(e);

	if (!p)
		return -1;
	/* A short packet is quoted as far as it has to be. */
	if (p->length + ETH_LEN - at < QUOTE) {
		if (ctx_load(ctx, at, e.quote, 28))
			return -1;
		n = ETH_LEN + sizeof(e) - QUOTE + 28;
	} else if (ctx_load(ctx, at, e.quote, QUOTE)) {
		return -1;
	}
	e.type = what == TTL_EXCEEDED ? 11 : 3;
	e.code = what == TOO_BIG ? 4 : what == UNREACHABLE ? 3 : 0;
	e.mtu = what == TOO_BIG ? bpf_htons(mtu) : 0;
	for (i = 5; i < sizeof(e) / 4; i++)
		sum += w[i];
	e.check = ~fold(sum);
	e.ip.version_ihl = 0x45;
	e.ip.tos = 0xc0;
	e.ip.length = bpf_htons(n - ETH_LEN);
	e.ip.ttl = 64;
	e.ip.protocol = IPPROTO_ICMP;
	e.ip.saddr = p->daddr[0];
	e.ip.daddr = p->saddr[0];
	sum = 0;
	for (i = 0; i < 5; i++)
		sum += w[i];
	e.ip.check = ~fold(sum);
	if (ctx_resize(ctx, n))
		return -1;
	if (n == ETH_LEN + sizeof(e))
		return ctx_store(ctx, ETH_LEN, &e, sizeof(e));
	return ctx_store(ctx, ETH_LEN, &e, sizeof(e) - QUOTE + 28);
}

__noinline int write_error6(ctx_t *ctx, const struct packet *p, __u32 what, __u32 mtu, __u32 at)
{
	__u32 zero = 0, i, *w;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct error6 *e;
	__u16 n;
	__u64 sum;

	if (!p || !s)
		return -1;
	e = (struct error6 *)s->error;
	w = s->error;
	__builtin_memset(e, 0, sizeof(*e)); /* what is not quoted adds nothing to the sum */
	n = ETH_LEN + sizeof(*e);
	if (p->length + ETH_LEN - at >= QUOTE_LONG) {
		if (ctx_load(ctx, at, e->quote, QUOTE_LONG))
			return -1;
	} else {
		n -= QUOTE_LONG - QUOTE;
		if (ctx_load(ctx, at, e->quote, QUOTE))
			return -1;
	}
	e->type = what == TOO_BIG ? 2 : what == TTL_EXCEEDED ? 3 : 1;
	e->code = what == UNREACHABLE ? 4 : 0;
	e->mtu = what == TOO_BIG ? bpf_htonl(mtu) : 0;
	copy16(e->ip.saddr, p->daddr);
	copy16(e->ip.daddr, p->saddr);
	sum = bpf_htonl(n - ETH_LEN - IP6_LEN) + (__u64)bpf_htonl(IPPROTO_ICMPV6);
	for (i = 2; i < sizeof(*e) / 4; i++)
		sum += w[i];
	e->check = ~fold(sum);
	e->ip.version_class_flow = bpf_htonl(0x60000000);
	e->ip.payload = bpf_htons(n - ETH_LEN - IP6_LEN);
	e->ip.next = IPPROTO_ICMPV6;
	e->ip.hop_limit = 64;
	if (ctx_resize(ctx, n))
		return -1;
	if (n == ETH_LEN + sizeof(*e))
		return ctx_store(ctx, ETH_LEN, e, sizeof(*e));
	return ctx_store(ctx, ETH_LEN, e, sizeof(*e) - (QUOTE_LONG - QUOTE));
}

#ifdef CTX_HAS_NEIGHBOR
/* report tells the sender of a packet that did not come in by this interface:
 * where that one is the routes say. When they do not, it is left to the host. */
__noinline int report(ctx_t *ctx, struct packet *p, __u32 what, __u32 mtu)
{
	int verdict = CTX_PASS;
	__u32 way;

	if (!p)
		return CTX_DROP;
	way = learn(ctx, p, p->saddr, &verdict);
	if (!way && verdict == CTX_PASS)
		return CTX_PASS;
	if (p->family == 4 ? write_error4(ctx, p, what, mtu, ETH_LEN) : write_error6(ctx, p, what, mtu, ETH_LEN))
		return CTX_DROP;
	return answer(ctx, way, verdict);
}
#endif

/* complain tells the sender, unless the packet is an ICMP error itself or not
 * the first fragment (RFC 1122, 3.2.2), or there are too many. */
static __always_inline int complain(ctx_t *ctx, struct packet *p, __u32 what, __u32 mtu)
{
	__u32 zero = 0, second = bpf_ktime_get_coarse_ns() >> 30;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);

	if (p->icmp || p->fragment == 2 || !s)
		return CTX_DROP;
	if (s->complaints_second != second) {
		s->complaints_second = second;
		s->complaints = 0;
	}
	if (s->complaints++ >= COMPLAINTS)
		return CTX_DROP;
#ifdef CTX_HAS_NEIGHBOR
	if (p->behind)
		return report(ctx, p, what, mtu);
#endif
	if (p->family == 4 ? write_error4(ctx, p, what, mtu, ETH_LEN) : write_error6(ctx, p, what, mtu, ETH_LEN))
		return CTX_DROP;
	/* Behind us is the loopback, which takes it to the sender. */
	return p->local ? CTX_PASS : bounce(ctx);
}

/* difference adds the change from old to new to a running ones' complement
 * sum. */
static __always_inline __u64 difference(__u64 sum, __u32 old, __u32 new)
{
	return sum + (__u32)~old + new;
}

static __always_inline __u32 fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

static __always_inline int patch_sum(ctx_t *ctx, __u32 offset, __u64 change)
{
	__sum16 check;

	if (ctx_load(ctx, offset, &check, 2))
		return -1;
	check = ~fold((__u16)~check + (change & 0xffffffff) + (change >> 32));
	return ctx_store(ctx, offset, &check, 2);
}

/* translate_error4 rewrites an ICMP error of a NAT flow, outside and inside.
 * The inner packet went the other way, so its source is what the flow's
 * destination becomes. */
static __noinline int translate_error4(ctx_t *ctx, const struct packet *p, const struct flow4 *f)
{
	struct ip4 outer, inner;
	struct ports ports;
	__u64 sum = 0, inner_sum = 0, icmp_sum = 0;
	__u8 flags = f->flags;

	if (ctx_load(ctx, ETH_LEN, &outer, sizeof(outer)) ||
	    ctx_load(ctx, p->inner, &inner, sizeof(inner)) ||
	    ctx_load(ctx, p->inner_l4, &ports, sizeof(ports)))
		return -1;
	if (flags & FLOW_DESTINATION) {
		sum = difference(sum, outer.daddr, f->new_daddr);
		outer.daddr = f->new_daddr;
		inner_sum = difference(inner_sum, inner.saddr, f->new_daddr);
		inner.saddr = f->new_daddr;
		icmp_sum = difference(icmp_sum, ports.source, f->new_dport);
		ports.source = f->new_dport;
	}
	if (flags & FLOW_SOURCE) {
		sum = difference(sum, outer.saddr, f->new_saddr);
		outer.saddr = f->new_saddr;
		inner_sum = difference(inner_sum, inner.daddr, f->new_saddr);
		inner.daddr = f->new_saddr;
		icmp_sum = difference(icmp_sum, ports.dest, f->new_sport);
		ports.dest = f->new_sport;
	}
	sum = difference(sum, (__u16)(outer.ttl | outer.protocol << 8),
			 (__u16)((outer.ttl - 1) | outer.protocol << 8));
	outer.ttl--;
	outer.check = ~fold((__u16)~outer.check + (__u64)fold32(sum));
	inner.check = ~fold((__u16)~inner.check + (__u64)fold32(inner_sum));
	if (ctx_store(ctx, ETH_LEN, &outer, sizeof(outer)) ||
	    ctx_store(ctx, p->inner, &inner, sizeof(inner)) ||
	    ctx_store(ctx, p->inner_l4, &ports, sizeof(ports)))
		return -1;
	return patch_sum(ctx, p->l4 + 2, fold32(icmp_sum));
}

static __noinline int translate_error6(ctx_t *ctx, const struct packet *p, const struct flow6 *f)
{
	struct ip6 outer, inner;
	struct ports ports;
	__u64 sum = 0;
	__u8 flags = f->flags;
	__u32 i;

	if (ctx_load(ctx, ETH_LEN, &outer, sizeof(outer)) ||
	    ctx_load(ctx, p->inner, &inner, sizeof(inner)) ||
	    ctx_load(ctx, p->inner_l4, &ports, sizeof(ports)))
		return -1;
	if (flags & FLOW_DESTINATION) {
#pragma unroll
		for (i = 0; i < 4; i++) {
			sum = difference(sum, outer.daddr[i], f->new_daddr[i]);
			sum = difference(sum, inner.saddr[i], f->new_daddr[i]);
		}
		copy16(outer.daddr, f->new_daddr);
		copy16(inner.saddr, f->new_daddr);
		sum = difference(sum, ports.source, f->new_dport);
		ports.source = f->new_dport;
	}
	if (flags & FLOW_SOURCE) {
#pragma unroll
		for (i = 0; i < 4; i++) {
			sum = difference(sum, outer.saddr[i], f->new_saddr[i]);
			sum = difference(sum, inner.daddr[i], f->new_saddr[i]);
		}
		copy16(outer.saddr, f->new_saddr);
		copy16(inner.daddr, f->new_saddr);
		sum = difference(sum, ports.dest, f->new_sport);
		ports.dest = f->new_sport;
	}
	outer.hop_limit--;
	if (ctx_store(ctx, ETH_LEN, &outer, sizeof(outer)) ||
	    ctx_store(ctx, p->inner, &inner, sizeof(inner)) ||
	    ctx_store(ctx, p->inner_l4, &ports, sizeof(ports)))
		return -1;
	return patch_sum(ctx, p->l4 + 2, fold32(sum));
}
