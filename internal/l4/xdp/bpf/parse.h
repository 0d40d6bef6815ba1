/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Frames to packets. What is not well-formed is never ours: it goes to the
 * host's stack, which drops it and counts why. */
#pragma once

/* The IPv4 header, without bit fields. */
struct ip4 {
	__u8 version_ihl, tos;
	__be16 length, id, fragment;
	__u8 ttl, protocol;
	__sum16 check;
	__be32 saddr, daddr;
};

struct ip6 {
	__be32 version_class_flow;
	__be16 payload;
	__u8 next, hop_limit;
	__be32 saddr[4], daddr[4];
};

struct ports {
	__be16 source, dest;
};

static __always_inline int malformed(void)
{
	count_drop(DROP_MALFORMED);
	return V_PASS;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* options4 is whether a header's options may cross: the checksum of the whole
 * header is right, and there is no source route. */
static __noinline int options4(ctx_t *ctx, __u32 ihl)
{
	__u32 words[15] = {}, i, sum_ok;
	__u8 *bytes = (__u8 *)words, skip = 0;
	__u64 sum = 0;

	if (ihl < 24 || ihl > 60 || ctx_load(ctx, ETH_LEN, words, ihl))
		return 0;
	for (i = 0; i < 15; i++)
		sum += words[i];
	sum_ok = fold(sum) == 0xffff;
	for (i = IP4_LEN; i < 60; i++) {
		__u8 kind = bytes[i];

		if (i >= ihl)
			break;
		if (skip) {
			skip--;
			continue;
		}
		if (kind == 0)
			break;
		if (kind == 1)
			continue;
		if (i + 1 >= ihl || i + 1 >= 60)
			return 0;
		if (bytes[i + 1] < 2 || i + bytes[i + 1] > ihl)
			return 0;
		if (kind == 131 || kind == 137) /* loose and strict source route */
			return 0;
		skip = bytes[i + 1] - 1;
	}
	return sum_ok;
}

/* extensions6 walks the extension headers (RFC 8200) and says where the
 * transport's is. Gives its protocol, IPPROTO_NONE for what is not ours, or
 * -1. */
static __noinline int extensions6(ctx_t *ctx, struct packet *p, __u32 next)
{
	__u32 offset = ETH_LEN + IP6_LEN, i, word, fragments = 0;
	__u8 h[8];

	for (i = 0; i < 8; i++) {
		if (next == IPPROTO_TCP || next == IPPROTO_UDP || next == IPPROTO_ICMPV6) {
			p->l4 = offset;
			return next;
		}
		if (next == NEXT_HOP_BY_HOP && i)
			return -1; /* first or not at all */
		if (next != NEXT_HOP_BY_HOP && next != NEXT_DESTINATION && next != NEXT_ROUTING &&
		    next != NEXT_FRAGMENT)
			return IPPROTO_NONE;
		if (offset > 300 || offset + 8 > ETH_LEN + p->length || ctx_load(ctx, offset, h, 8))
			return -1;
		if (next == NEXT_FRAGMENT) {
			if (fragments++)
				return -1;
			word = h[2] << 8 | h[3];
			/* All but the last are multiples of 8 octets. */
			if (word & 1 && (p->length + ETH_LEN - offset) & 7)
				return -1;
			p->fragment = word & 0xfff8 ? 2 : word & 1;
			p->fragment_id = *(__be32 *)(h + 4);
			offset += 8;
			if (p->fragment == 2) {
				p->l4 = offset;
				return h[0];
			}
		} else {
			if (next == NEXT_ROUTING && h[3])
				return IPPROTO_NONE; /* has a way of its own to go */
			offset += 8 + h[1] * 8;
		}
		next = h[0];
		if (offset > ETH_LEN + p->length)
			return -1;
	}
	return -1;
}

/* parse_l4 reads the transport's header. room is its length with payload. */
static __always_inline int parse_l4(ctx_t *ctx, struct packet *p, __u32 room)
{
	__u32 l4 = p->l4;
	__u8 *h;

	if (p->fragment == 2)
		return V_FORWARD; /* ports come from the first fragment */
	if (l4 > 400)
		return malformed();
	h = (__u8 *)ctx_data(ctx) + l4;
	if ((void *)(h + UDP_LEN) > ctx_end(ctx) || room < UDP_LEN)
		return malformed();
	p->sport = ((struct ports *)h)->source;
	p->dport = ((struct ports *)h)->dest;
	if (!p->dport)
		return malformed();
	if (p->protocol == IPPROTO_UDP) {
		__u16 n = bpf_ntohs(*(__be16 *)(h + 4));

		if (n < UDP_LEN || (n > room && !p->fragment))
			return malformed();
		return V_FORWARD;
	}
	if ((void *)(h + TCP_LEN) > ctx_end(ctx) || !p->sport)
		return malformed();
	{
		__u32 header = (h[12] >> 4) * 4;
		__u8 flags = h[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK);

		if (header < TCP_LEN || header > room)
			return malformed();
		/* No TCP sends these: a scan, or a broken sender. */
		if (!flags || (flags & TCP_SYN && flags & (TCP_FIN | TCP_RST)) ||
		    (flags & TCP_FIN && flags & TCP_RST))
			return malformed();
		p->tcp_flags = flags;
	}
	return V_FORWARD;
}

/* strange4 is whether a source address cannot be answered. */
static __always_inline int strange4(__be32 a)
{
	__u8 first = bpf_ntohl(a) >> 24;

	return first == 0 || first == 127 || first >= 224;
}

static __always_inline int parse4(ctx_t *ctx, struct packet *p)
{
	__u8 *data = ctx_data(ctx);
	struct ip4 *ip = (void *)(data + ETH_LEN);
	__u32 ihl, length, fragment;

	if ((void *)(ip + 1) > ctx_end(ctx))
		return malformed();
	ihl = (ip->version_ihl & 0xf) * 4;
	length = bpf_ntohs(ip->length);
	if (ip->version_ihl >> 4 != 4 || ihl < IP4_LEN)
		return malformed();
	if (!length && ctx_gso_size(ctx))
		length = ctx_length(ctx) - ETH_LEN; /* BIG TCP */
	if (length < ihl || length + ETH_LEN > ctx_length(ctx))
		return malformed();
	if (ihl == IP4_LEN) {
		__u32 *w = (void *)ip;

		if (fold((__u64)w[0] + w[1] + w[2] + w[3] + w[4]) != 0xffff)
			return malformed();
	} else if (!options4(ctx, ihl)) {
		return malformed();
	}
	data = ctx_data(ctx);
	ip = (void *)(data + ETH_LEN);
	if ((void *)(ip + 1) > ctx_end(ctx))
		return malformed();
	p->saddr[0] = ip->saddr;
	p->daddr[0] = ip->daddr;
	if (strange4(ip->saddr) || (ip->saddr == ip->daddr && !p->local))
		return p->local ? V_PASS : malformed(); /* this host talks with itself */
	p->family = 4;
	p->protocol = ip->protocol;
	p->ttl = ip->ttl;
	p->length = length;
	p->l4 = ETH_LEN + ihl;
	fragment = bpf_ntohs(ip->fragment);
	p->dont_fragment = fragment & IP4_DF ? 1 : 0;
	if (fragment & (IP4_MF | IP4_OFFSET)) {
		p->fragment = fragment & IP4_OFFSET ? 2 : 1;
		p->fragment_id = ip->id;
		/* An offset of 1 overwrites the ports or flags (RFC 1858). */
		if ((fragment & IP4_OFFSET) == 1 && p->protocol == IPPROTO_TCP)
			return malformed();
		if ((fragment & IP4_OFFSET) * 8 + (length - ihl) > 65535)
			return malformed();
	}
	if (p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP)
		return parse_l4(ctx, p, length - ihl);
	if (p->protocol == IPPROTO_ICMP && !p->fragment) {
		p->icmp = 1;
		return V_FORWARD;
	}
	return V_PASS;
}

static __always_inline int strange6(const __be32 *a)
{
	__u32 first = bpf_ntohl(a[0]);

	return first >> 24 == 0xff || first >> 22 == 0xfe80 >> 6 ||
	       (!a[0] && !a[1] && (!a[2] || a[2] == bpf_htonl(0xffff)));
}

static __always_inline int parse6(ctx_t *ctx, struct packet *p)
{
	__u8 *data = ctx_data(ctx);
	struct ip6 *ip = (void *)(data + ETH_LEN);
	__u32 payload, next;
	int protocol;

	if ((void *)(ip + 1) > ctx_end(ctx))
		return malformed();
	payload = bpf_ntohs(ip->payload);
	if (bpf_ntohl(ip->version_class_flow) >> 28 != 6)
		return malformed();
	if (!payload && ctx_gso_size(ctx))
		payload = ctx_length(ctx) - ETH_LEN - IP6_LEN;
	if (payload + ETH_LEN + IP6_LEN > ctx_length(ctx))
		return malformed();
	copy16(p->saddr, ip->saddr);
	copy16(p->daddr, ip->daddr);
	if (same16(p->saddr, p->daddr) && !p->local)
		return malformed();
	p->family = 6;
	p->ttl = ip->hop_limit;
	p->length = payload + IP6_LEN;
	p->l4 = ETH_LEN + IP6_LEN;
	p->dont_fragment = 1;
	next = ip->next;
	if (next == IPPROTO_NONE)
		return V_PASS;
	if (next != IPPROTO_TCP && next != IPPROTO_UDP && next != IPPROTO_ICMPV6) {
		protocol = extensions6(ctx, p, next);
		if (protocol < 0)
			return malformed();
		next = protocol;
		if (p->l4 > 400)
			return malformed();
		ctx_pull(ctx, p->l4 + 60);
	}
	p->protocol = next;
	if (next == IPPROTO_TCP || next == IPPROTO_UDP) {
		if (strange6(p->saddr))
			return p->local ? V_PASS : malformed();
		return parse_l4(ctx, p, p->length + ETH_LEN - p->l4);
	}
	if (next == IPPROTO_ICMPV6 && !p->fragment) {
		p->icmp = 1;
		return V_FORWARD;
	}
	return V_PASS;
}

/* parse_icmp looks into an ICMP error. The tuple becomes that of the flow it
 * is about: the inner packet's, turned round. */
static __noinline int parse_icmp(ctx_t *ctx, struct packet *p)
{
	__u32 offset, length;
	struct ports ports;
	__u8 type;

	if (!p)
		return V_PASS;
	offset = p->l4;
	if (ctx_load(ctx, offset, &type, 1))
		return V_PASS;
	if (p->family == 4) {
		struct ip4 in;
		__u32 ihl;

		if (type != 3 && type != 4 && type != 11 && type != 12)
			return V_PASS;
		offset += ICMP_LEN;
		if (ctx_load(ctx, offset, &in, sizeof(in)))
			return malformed();
		ihl = (in.version_ihl & 0xf) * 4;
		if (in.version_ihl >> 4 != 4 || ihl < IP4_LEN)
			return malformed();
		/* About a following fragment there is no port to go by. */
		if (in.fragment & bpf_htons(IP4_OFFSET))
			return V_PASS;
		p->protocol = in.protocol;
		p->saddr[0] = in.daddr;
		p->daddr[0] = in.saddr;
		p->inner = offset;
		p->inner_l4 = offset + ihl;
	} else {
		struct ip6 in;

		if (type < 1 || type > 4)
			return V_PASS;
		offset += ICMP_LEN;
		if (ctx_load(ctx, offset, &in, sizeof(in)))
			return malformed();
		if (bpf_ntohl(in.version_class_flow) >> 28 != 6)
			return malformed();
		p->protocol = in.next;
		copy16(p->saddr, in.daddr);
		copy16(p->daddr, in.saddr);
		p->inner = offset;
		p->inner_l4 = offset + IP6_LEN;
	}
	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
		return V_PASS;
	length = p->length + ETH_LEN;
	if (p->inner_l4 + 8 > length || ctx_load(ctx, p->inner_l4, &ports, sizeof(ports)))
		return malformed();
	p->sport = ports.dest;
	p->dport = ports.source;
	return V_FORWARD;
}
