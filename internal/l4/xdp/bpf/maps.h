/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The maps. All are pinned by name, so that a new process goes on with them. */
#pragma once

/* Flows are allocated beforehand: the kernel's allocator for programs refills
 * itself by interrupt work, which in a virtual machine can wait for the next
 * timer interrupt, and until then some hundred new flows have used it up. */

#define PIN __uint(pinning, LIBBPF_PIN_BY_NAME)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 18);
	__type(key, struct key4);
	__type(value, struct flow4);
	PIN;
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1 << 18);
	__type(key, struct key6);
	__type(value, struct flow6);
	PIN;
} flows6 SEC(".maps");

/* The rings are walked by one timer each, a part at a time. A timer for each
 * flow would be allocated with each, which fails now and then (see above),
 * and cost more memory than the flow. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1 << 18);
	__type(value, struct ring4);
	PIN;
} ring4s SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 1 << 18);
	__type(value, struct ring6);
	PIN;
} ring6s SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct sweeper);
	PIN;
} sweepers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct service_key);
	__type(value, struct service);
	PIN;
} services SEC(".maps");

/* Port ranges and any-port services: the port is the key's last 16 bits. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct range_key);
	__type(value, struct service);
	PIN;
} ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct service_state);
	PIN;
} service_states SEC(".maps");

/* Full, it forgets the destinations that nobody has asked for the longest. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 15);
	__type(key, struct cached_key);
	__type(value, struct cached);
	PIN;
} cacheds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct ledger);
	PIN;
} ledgers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 17);
	__type(key, __u32);
	__type(value, struct block);
	PIN;
} blocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct dest);
	PIN;
} dests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct dest_state);
	PIN;
} dest_states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct counters);
	PIN;
} dest_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROP_REASONS);
	__type(key, __u32);
	__type(value, __u64);
	PIN;
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct hop);
	PIN;
} hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LEARNED_HOPS);
	__type(key, __u32);
	__type(value, struct learned_hop);
	PIN;
} learned_hops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
	PIN;
} fragments SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LAYOUT);
	__type(key, __u32);
	__type(value, struct configuration);
	PIN;
} settings SEC(".maps");

/* Room for entries that are being made: the stack is 512 bytes. What a process
 * has done by hand has its own: before Linux 6.3 packets may come in between. */
#define BY_HAND 1
struct scratch {
	__u64 forward[16], reverse[16], entry[8], key[8], answer[8], cached[10];
	__u32 complaints_second, complaints; /* ICMP errors of this second */
	__u32 nothing; /* always 0, which the verifier does not know */
	__u32 error[40]; /* an ICMP error of IPv6 */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 + BY_HAND);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline void count_drop(__u32 why)
{
	__u64 *n = bpf_map_lookup_elem(&drops, &why);

	if (n)
		*n += 1;
}

static __always_inline __u32 now_tick(void)
{
	return bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}
