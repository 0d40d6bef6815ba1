/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the core needs of a packet, under XDP. */
#pragma once

typedef struct xdp_md ctx_t;

#define CTX_PASS XDP_PASS
#define CTX_DROP XDP_DROP

/* Inline it would make the stack too deep here. */
#define FORWARD4 static __noinline

/* The hardware addresses of the interfaces that the program is on: without
 * pkt_type, this tells whether a frame is for this host. */
struct port {
	__u32 mac[2]; /* 6 bytes, 2 of zero */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct port);
	PIN;
} xdp_ports SEC(".maps");

static __always_inline void *ctx_data(ctx_t *ctx) { return (void *)(long)ctx->data; }
static __always_inline void *ctx_end(ctx_t *ctx) { return (void *)(long)ctx->data_end; }
static __always_inline __u32 ctx_length(ctx_t *ctx)
{
	void *data = ctx_data(ctx), *end = ctx_end(ctx);

	/* Without this the compiler subtracts 32 bits of pointers. */
	asm volatile("" : "+r"(data), "+r"(end));
	return end - data;
}
static __always_inline __u32 ctx_mark(ctx_t *ctx) { return 0; }
static __always_inline __u32 ctx_segments(ctx_t *ctx) { return 1; }
static __always_inline __u32 ctx_gso_size(ctx_t *ctx) { return 0; }
static __always_inline __u32 ctx_ifindex(ctx_t *ctx) { return ctx->ingress_ifindex; }

static __always_inline int ctx_ours(ctx_t *ctx, __u16 *type)
{
	__u8 *data = ctx_data(ctx);
	__u32 ifindex = ctx->ingress_ifindex;
	struct port *port;

	if ((void *)(data + ETH_LEN) > ctx_end(ctx))
		return 0;
	*type = bpf_ntohs(*(__be16 *)(data + 12));
	if (*type != ETHERTYPE_IP && *type != ETHERTYPE_IPV6)
		return 0;
	port = bpf_map_lookup_elem(&xdp_ports, &ifindex);
	return port && *(__u32 *)data == port->mac[0] && *(__u16 *)(data + 4) == (__u16)port->mac[1];
}

static __always_inline void ctx_pull(ctx_t *ctx, __u32 n) {}

static __always_inline long ctx_load(ctx_t *ctx, __u32 offset, void *to, __u32 n)
{
	return bpf_xdp_load_bytes(ctx, offset, to, n);
}

static __always_inline long ctx_store(ctx_t *ctx, __u32 offset, const void *from, __u32 n)
{
	return bpf_xdp_store_bytes(ctx, offset, (void *)from, n);
}

static __always_inline long ctx_l4_sum(ctx_t *ctx, __u32 offset, __u32 addresses, __u32 ports,
				       int has_addresses, int has_ports, int udp)
{
	__u8 *data = ctx_data(ctx);
	__u64 sum;
	__sum16 *field;

	if (offset > 400)
		return -1;
	field = (void *)(data + offset);
	if ((void *)(field + 1) > ctx_end(ctx))
		return -1;
	if (udp && !*field)
		return 0;
	sum = (__u16)~*field;
	if (has_addresses)
		sum += addresses;
	if (has_ports)
		sum += ports;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (__u16)~sum;
	*field = udp && !sum ? 0xffff : sum;
	return 0;
}

/* ctx_reaches is whether a frame gets out of an interface from here: many
 * drivers send only for XDP while they have a program themselves, and drop
 * without a word otherwise. */
static __always_inline int ctx_reaches(ctx_t *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex || bpf_map_lookup_elem(&xdp_ports, &ifindex);
}

/* For the short way: the entry of a flow says which interface its frames came by,
 * and with which hardware address. */
static __always_inline int ctx_is4(ctx_t *ctx)
{
	__u8 *data = ctx_data(ctx);

	return (void *)(data + ETH_LEN) <= ctx_end(ctx) && *(__be16 *)(data + 12) == bpf_htons(ETHERTYPE_IP);
}

static __always_inline int ctx_same(ctx_t *ctx, const struct fast4 *e)
{
	__u8 *data = ctx_data(ctx);

	return (void *)(data + ETH_LEN) <= ctx_end(ctx) && ctx->ingress_ifindex == e->ifindex &&
	       *(__u32 *)data == e->mac[0] && *(__u16 *)(data + 4) == e->mac[1];
}

static __always_inline void ctx_note(ctx_t *ctx, struct fast4 *e)
{
	__u8 *data = ctx_data(ctx);

	e->ifindex = ctx->ingress_ifindex;
	if ((void *)(data + ETH_LEN) > ctx_end(ctx)) {
		e->ifindex = 0;
		return;
	}
	e->mac[0] = *(__u32 *)data;
	e->mac[1] = *(__u16 *)(data + 4);
}

static __always_inline int ctx_sends(ctx_t *ctx, __u32 ifindex) { return ctx_reaches(ctx, ifindex); }

static __always_inline int ctx_redirect(ctx_t *ctx, __u32 ifindex)
{
	if (ifindex == ctx->ingress_ifindex)
		return XDP_TX;
	return bpf_redirect(ifindex, 0);
}

static __always_inline long ctx_wrap(ctx_t *ctx, __u32 n, int udp)
{
	__u32 mac[4];

	if (bpf_xdp_load_bytes(ctx, 0, mac, ETH_LEN) || bpf_xdp_adjust_head(ctx, -(int)n))
		return -1;
	return bpf_xdp_store_bytes(ctx, 0, mac, ETH_LEN);
}

static __always_inline long ctx_resize(ctx_t *ctx, __u32 n)
{
	return bpf_xdp_adjust_tail(ctx, (int)n - (int)ctx_length(ctx));
}
