/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Which flows have changed, for a process that tells another director of them:
 * when a flow begins, a connection is established, or its state changes. Never
 * for a packet, and nothing while nobody wants to know. */
#pragma once

struct telling {
	__u32 on;
	__u32 zero;
	__u64 missed; /* changes that found no room */
};

/* Neither is pinned: who goes on with the other maps asks anew. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct telling);
} tellings SEC(".maps");

/* Bytes. A key of IPv4 takes 24 of them, of IPv6 48. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} changes SEC(".maps");

/* Connections that are only being opened: a flood of SYNs stays where it is. */
#define OPENING                                                                \
	(1 << ST_NONE | 1 << ST_SYN_SENT | 1 << ST_SYN_RECV | 1 << ST_LISTEN | 1 << ST_SYNACK)

/* note puts a flow's key down. Who reads them comes by many times a second, and
 * is not woken. */
static __always_inline void note(void *key, __u32 size, __u32 state)
{
	__u32 zero = 0;
	struct telling *t = bpf_map_lookup_elem(&tellings, &zero);

	if (!t || !t->on || (state < ST_TCP_STATES && OPENING >> state & 1))
		return;
	if (bpf_ringbuf_output(&changes, key, size, BPF_RB_NO_WAKEUP))
		__sync_fetch_and_add(&t->missed, 1);
}
