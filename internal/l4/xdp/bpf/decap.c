// SPDX-License-Identifier: Apache-2.0 OR MIT
/* A real server's end of TUN: takes the outer IP header off packets from
 * directors to this host, so that it sees the virtual address. tc, on ingress. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/in.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "consts.h"

struct inner_key {
	__be32 addr[4];
};

/* The virtual addresses of this server: packets inside to any other are left
 * alone, so that the tunnel is not a way around somebody's packet filter. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct inner_key);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} virtual_addresses SEC(".maps");

struct decap_counters {
	__u64 packets, bytes, refused;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct decap_counters);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} decap_counts SEC(".maps");

SEC("tc")
int decapsulate(struct __sk_buff *ctx)
{
	__u32 zero = 0, outer, length = ctx->len;
	struct inner_key k = {};
	struct decap_counters *c;
	__u64 flags;
	__u8 protocol, type, ihl;
	__be16 ethertype, inner_type;

	if (ctx->pkt_type != 0 || ctx->vlan_present)
		return -1;
	if (ctx->protocol == bpf_htons(ETHERTYPE_IP)) {
		__be16 fragment;

		if (bpf_skb_load_bytes(ctx, ETH_LEN, &ihl, 1) ||
		    bpf_skb_load_bytes(ctx, ETH_LEN + 9, &protocol, 1) ||
		    bpf_skb_load_bytes(ctx, ETH_LEN + 6, &fragment, 2))
			return -1;
		/* Fragments of the outer packet are the stack's to put together. */
		if (ihl != 0x45 || fragment & bpf_htons(IP4_MF | IP4_OFFSET))
			return -1;
		outer = IP4_LEN;
	} else if (ctx->protocol == bpf_htons(ETHERTYPE_IPV6)) {
		if (bpf_skb_load_bytes(ctx, ETH_LEN + 6, &protocol, 1))
			return -1;
		outer = IP6_LEN;
	} else {
		return -1;
	}
	if (protocol == IPPROTO_IPIP) {
		if (length < ETH_LEN + outer + IP4_LEN ||
		    bpf_skb_load_bytes(ctx, ETH_LEN + outer, &type, 1) || type >> 4 != 4 ||
		    bpf_skb_load_bytes(ctx, ETH_LEN + outer + 16, &k.addr, 4))
			return -1;
		inner_type = bpf_htons(ETHERTYPE_IP);
		flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	} else if (protocol == IPPROTO_IPV6) {
		if (length < ETH_LEN + outer + IP6_LEN ||
		    bpf_skb_load_bytes(ctx, ETH_LEN + outer, &type, 1) || type >> 4 != 6 ||
		    bpf_skb_load_bytes(ctx, ETH_LEN + outer + 24, &k.addr, 16))
			return -1;
		inner_type = bpf_htons(ETHERTYPE_IPV6);
		flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	} else {
		return -1;
	}
	c = bpf_map_lookup_elem(&decap_counts, &zero);
	if (!c)
		return -1;
	if (!bpf_map_lookup_elem(&virtual_addresses, &k)) {
		c->refused++;
		return -1;
	}
#ifndef BPF_F_ADJ_ROOM_DECAP_L3_IPV4
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define BPF_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)
#endif
	/* Only a change of family has to be told, which kernels before 6.3 do not
	 * know of. */
	if (inner_type != ctx->protocol)
		flags |= inner_type == bpf_htons(ETHERTYPE_IP) ? BPF_F_ADJ_ROOM_DECAP_L3_IPV4 :
								  BPF_F_ADJ_ROOM_DECAP_L3_IPV6;
	if (bpf_skb_adjust_room(ctx, -(__s32)outer, BPF_ADJ_ROOM_MAC, flags))
		return 2;
	ethertype = inner_type;
	if (bpf_skb_store_bytes(ctx, 12, &ethertype, 2, 0))
		return 2;
	c->packets++;
	c->bytes += length - ETH_LEN - outer;
	return -1;
}

char terms[] SEC("license") = "Dual MIT/GPL";
