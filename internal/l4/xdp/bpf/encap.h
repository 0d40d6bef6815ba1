/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* TUN: packets in another IP header. */
#pragma once

static __noinline int wrap4(ctx_t *ctx, const struct packet *p, __be32 from, __be32 to)
{
	struct ip4 ip = {}, inner4;
	struct ip6 inner6;
	__be16 type = bpf_htons(ETHERTYPE_IP);
	__u32 *w = (__u32 *)&ip, i;
	__u64 sum = 0;

	ip.version_ihl = 0x45;
	/* What is cut into segments has its length set then. */
	ip.length = p->length + IP4_LEN > 0xffff ? 0 : bpf_htons(p->length + IP4_LEN);
	if (p->family == 4) {
		if (ctx_load(ctx, ETH_LEN, &inner4, sizeof(inner4)))
			return -1;
		ip.tos = inner4.tos;
		ip.ttl = inner4.ttl;
		ip.protocol = IPPROTO_IPIP;
	} else {
		if (ctx_load(ctx, ETH_LEN, &inner6, sizeof(inner6)))
			return -1;
		ip.tos = bpf_ntohl(inner6.version_class_flow) >> 20;
		ip.ttl = inner6.hop_limit;
		ip.protocol = IPPROTO_IPV6;
	}
	if (p->dont_fragment)
		ip.fragment = bpf_htons(IP4_DF);
	else
		ip.id = bpf_get_prandom_u32();
	ip.saddr = from;
	ip.daddr = to;
	for (i = 0; i < 5; i++)
		sum += w[i];
	ip.check = ~fold(sum);
	if (ctx_wrap(ctx, IP4_LEN, p->protocol == IPPROTO_UDP) || ctx_store(ctx, ETH_LEN, &ip, sizeof(ip)))
		return -1;
	return ctx_store(ctx, 12, &type, 2);
}

static __noinline int wrap6(ctx_t *ctx, const struct packet *p, const __be32 *from, const __be32 *to)
{
	struct ip6 ip = {}, inner6;
	struct ip4 inner4;
	__be16 type = bpf_htons(ETHERTYPE_IPV6);
	__u32 class;

	ip.payload = p->length > 0xffff ? 0 : bpf_htons(p->length);
	if (p->family == 4) {
		if (ctx_load(ctx, ETH_LEN, &inner4, sizeof(inner4)))
			return -1;
		class = inner4.tos;
		ip.hop_limit = inner4.ttl;
		ip.next = IPPROTO_IPIP;
	} else {
		if (ctx_load(ctx, ETH_LEN, &inner6, sizeof(inner6)))
			return -1;
		class = bpf_ntohl(inner6.version_class_flow) >> 20 & 0xff;
		ip.hop_limit = inner6.hop_limit;
		ip.next = IPPROTO_IPV6;
	}
	ip.version_class_flow = bpf_htonl(0x60000000 | class << 20);
	copy16(ip.saddr, from);
	copy16(ip.daddr, to);
	if (ctx_wrap(ctx, IP6_LEN, p->protocol == IPPROTO_UDP) || ctx_store(ctx, ETH_LEN, &ip, sizeof(ip)))
		return -1;
	return ctx_store(ctx, 12, &type, 2);
}
