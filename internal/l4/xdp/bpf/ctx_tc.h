/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the core needs of a packet, under tc (clsact and tcx). */
#pragma once

typedef struct __sk_buff ctx_t;

#define CTX_PASS (-1) /* TC_ACT_UNSPEC and TCX_NEXT: the next program, then the stack */
#define CTX_DROP 2

#define FORWARD4 static __always_inline

static __always_inline void *ctx_data(ctx_t *ctx) { return (void *)(long)ctx->data; }
static __always_inline void *ctx_end(ctx_t *ctx) { return (void *)(long)ctx->data_end; }
static __always_inline __u32 ctx_length(ctx_t *ctx) { return ctx->len; }
#define CTX_HAS_MARK 1
static __always_inline __u32 ctx_mark(ctx_t *ctx) { return ctx->mark; }
static __always_inline __u32 ctx_segments(ctx_t *ctx)
{
	__u32 n = ctx->gso_segs;

	return n ? n : 1;
}
static __always_inline __u32 ctx_gso_size(ctx_t *ctx) { return ctx->gso_size; }
static __always_inline __u32 ctx_ifindex(ctx_t *ctx) { return ctx->ifindex; }

#define LOCAL_0 0x6b65656c
#define LOCAL_1 0x6c6f6f70
#define MARKED_1 0x6d61726b
/* What the kind of packet says of a copy, and what the priority says of one that
 * goes to the host's stack. Keep in step with package marks. */
#define PACKET_HOST 0
#define COPY_LOCAL 1	/* broadcast: a process on this host sent it */
#define COPY_WHOLE 2	/* multicast: it may not be cut into fragments, or is IPv6 */
#define COPY_CUTTABLE 3 /* other host: it may */
#define SEEN 0x656b
#define TC_REDIRECT 7

/* The director, for director_local and director_marked. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
	PIN;
} entries SEC(".maps");

/* ctx_ours is whether the frame is for this host (not overheard, not for a
 * VLAN whose device sees it again) and gives its ethertype. */
static __always_inline int ctx_ours(ctx_t *ctx, __u16 *type)
{
	if (ctx->pkt_type != 0 /* PACKET_HOST */ || ctx->vlan_present)
		return 0;
	*type = bpf_ntohs(ctx->protocol);
	return 1;
}

/* For the short way: whether it may be for a frame, which leaves what it cannot
 * know to the entry of its flow; whether a frame came as the flow's do, which
 * the kernel says here; and whether one gets out of an interface. */
static __always_inline int ctx_is4(ctx_t *ctx)
{
	return ctx->pkt_type == 0 && !ctx->vlan_present && ctx->protocol == bpf_htons(ETHERTYPE_IP);
}

static __always_inline int ctx_same(ctx_t *ctx, const struct fast4 *e) { return 1; }
static __always_inline void ctx_note(ctx_t *ctx, struct fast4 *e) { e->ifindex = 0; /* XDP shall not believe it */ }
static __always_inline int ctx_sends(ctx_t *ctx, __u32 ifindex) { return 1; }

/* ctx_pull makes the first n bytes readable in place, where there are so many. */
static __always_inline void ctx_pull(ctx_t *ctx, __u32 n)
{
	__u32 length = ctx->len;

	bpf_skb_pull_data(ctx, n < length ? n : length);
}

static __always_inline long ctx_load(ctx_t *ctx, __u32 offset, void *to, __u32 n)
{
	return bpf_skb_load_bytes(ctx, offset, to, n);
}

static __always_inline long ctx_store(ctx_t *ctx, __u32 offset, const void *from, __u32 n)
{
	return bpf_skb_store_bytes(ctx, offset, from, n, 0);
}

/* ctx_l4_sum puts a change of the addresses and one of the ports into a TCP or
 * UDP checksum. A partial checksum, which the sending device completes, covers
 * the addresses only: the kernel's helper knows which it is. */
static __always_inline long ctx_l4_sum(ctx_t *ctx, __u32 offset, __u32 addresses, __u32 ports,
				       int has_addresses, int has_ports, int udp)
{
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	long err = 0;

	if (has_addresses)
		err = bpf_l4_csum_replace(ctx, offset, 0, addresses, BPF_F_PSEUDO_HDR | flags);
	if (!err && has_ports)
		err = bpf_l4_csum_replace(ctx, offset, 0, ports, flags);
	return err;
}

static __always_inline int ctx_redirect(ctx_t *ctx, __u32 ifindex)
{
	return bpf_redirect(ifindex, 0);
}

#define CTX_HAS_NEIGHBOR 1
static __always_inline int ctx_redirect_neighbor(ctx_t *ctx, __u32 ifindex,
						 struct bpf_redir_neigh *nh)
{
	return bpf_redirect_neigh(ifindex, nh, sizeof(*nh), 0);
}

/* ctx_deliver gives a packet to the host's stack as one of the loopback's. */
static __always_inline int ctx_deliver(ctx_t *ctx)
{
	return bpf_redirect(LOOPBACK, BPF_F_INGRESS);
}

/* ctx_wrap makes room for an outer IP header behind the Ethernet header. TCP's
 * segments may be cut shorter for it, UDP's are datagrams. */
static __always_inline long ctx_wrap(ctx_t *ctx, __u32 n, int udp)
{
	__u64 flags = n == IP4_LEN ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;

	if (udp)
		flags |= BPF_F_ADJ_ROOM_FIXED_GSO;

	return bpf_skb_adjust_room(ctx, n, BPF_ADJ_ROOM_MAC, flags);
}

/* ctx_resize sets the frame's length. */
static __always_inline long ctx_resize(ctx_t *ctx, __u32 n)
{
	return bpf_skb_change_tail(ctx, n, 0);
}
