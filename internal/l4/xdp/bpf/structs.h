/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What lies in the maps. Go's types are made from these by bpf2go. Addresses
 * and ports are in network order. */
#pragma once

struct key4 {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u8 protocol;
	__u8 kind;
	__u16 zero;
};

struct key6 {
	__be32 saddr[4], daddr[4];
	__be16 sport, dport;
	__u8 protocol;
	__u8 kind;
	__u16 zero;
};

/* One direction of a connection, or a persistence template. Of NAT's two
 * entries the forward one has the state and is looked at by the sweeper. With
 * flow4's 48 bytes an element of the hash map takes 112. The two differ at
 * their ends only. */
#define FLOW_FIELDS                                                            \
	__u32 state;                                                           \
	__u32 dest;                                                            \
	__u32 last;    /* tick of the last packet */                           \
	__u32 changed; /* tick of the last change of state */                  \
	__u32 born;    /* which of the flows that had this key one after another */ \
	__be16 new_sport, new_dport;                                           \
	__u8 flags;                                                            \
	__u8 fast;     /* which CPU has a short way for it, + 1 */             \
	__u8 sticky_bits; /* length of the client's network in the template */ \
	__u8 sticky_kind;                                                      \
	__u32 mark;                                                            \
	__u32 hop;	/* learned next hop + 1 */                             \
	__u32 hop_tick; /* when it was learned; in templates their timeout */

struct flow4 {
	FLOW_FIELDS
	__be32 new_saddr, new_daddr;
};

struct flow6 {
	FLOW_FIELDS
	__be32 new_saddr[4], new_daddr[4];
};

/* The short way of an IPv4 flow's packets: see fast.h. A line of memory. */
struct fast4 {
	__be32 saddr, daddr;
	__u32 ports; /* source and destination, as they stand in a packet */
	__u32 kind;
	__u32 last; /* the flow's */
	__u32 dest;
	__u32 way; /* of answers: their learned next hop + 1 */
	__be32 new_saddr, new_daddr;
	__u32 new_ports;
	__u32 addresses, changes; /* what rewriting adds to checksums: addresses, ports */
	__u32 mac[2]; /* XDP: to which hardware address frames come, and where */
	__u32 ifindex;
	__u32 zero;
};

/* An entry of a ring: the sweeper comes by and looks whether the flow has
 * timed out. */
struct ring4 {
	struct key4 key;
	__u32 born;
	__u32 zero;
};

struct ring6 {
	struct key6 key;
	__u32 born;
	__u32 zero;
};

struct sweeper {
	struct bpf_timer timer;
	__u32 ringed; /* how many entries the ring has */
	__u32 lost;   /* entries that did not get back into it */
	__u64 ended;
};

struct service_key {
	__be32 addr[4]; /* or the mark in addr[0] */
	__be16 port;
	__u8 protocol;	/* 0 with a mark */
	__u8 family;
};

struct range_key {
	__u32 prefix;
	__be32 addr[4];
	__u8 protocol;
	__u8 family;
	__be16 port;
};

struct service {
	__u32 id;
	__u32 members, member_count; /* first block, servers */
	__u32 table, table_size;
	__u32 persistence; /* ticks; 0: none */
	__u32 syn_limit;   /* new TCP flows a second */
	__u32 mark;
	__u8 scheduler;
	__u8 flags;
	__u8 sticky_bits;
	__u8 family;
	__u32 turn; /* added to the state's: where the table's turns begin */
};

/* Which service has a number: for a process that takes the maps over. */
struct ledger {
	__be32 addr[4];
	__u16 port, port_last; /* in host order */
	__u8 protocol, family;
	__u16 used;
	__u32 mark;
	__u32 zero;
};

struct service_state {
	__u32 turn; /* of rr and wrr */
	__u32 syn_second;
	__u32 syn_count;
	__u32 full; /* tick when a flow found no room last */
};

/* Which servers a destination address has with lblc (the first only) and
 * lblcr, the one that came last first. */
struct cached_key {
	__u32 service;
	__be32 daddr[4];
};

struct cached {
	__u32 used;	/* tick of the last new flow */
	__u32 modified; /* tick when a server came or went last */
	__u32 size;
	__u32 dest[CACHED_SERVERS];
};

/* Some server numbers, of a service's list or of its table. */
struct block {
	__u32 dest[BLOCK_SLOTS];
};

/* One server of one service. */
struct dest {
	__be32 addr[4];
	__be16 port; /* 0: the client's */
	__u8 family;
	__u8 method;
	__u32 flags;
	__u32 service;
	__u32 weight;
	__u32 upper, lower;
	__u32 hop;
	__u32 mark;	 /* of a service by mark */
	__u8 service_kind[4];
	__u32 zero;
};

struct dest_state {
	__u32 active, inactive, persistent, overloaded;
};

struct counters {
	__u64 connections, packets_in, packets_out, bytes_in, bytes_out;
};

struct hop {
	__u32 mac[3]; /* destination, source */
	__u32 ifindex;
	__u32 mtu;
	__u32 flags;
	__be32 gateway[4];
	__be32 source4; /* outer source of a tunnel */
	__be32 source6[4];
	__u32 zero;
};

struct learned_hop {
	__u32 mac[3];
	__u32 ifindex; /* 0: free; ~0: being written, or looked at by the sweeper */
	__u32 tick;    /* when a route last led here */
	__u32 mtu;     /* of the route; 0: any */
};

struct fragment_key {
	__be32 saddr[4], daddr[4];
	__be32 id;
	__u8 protocol;
	__u8 family;
	__u16 zero;
};

struct fragment {
	__be16 sport, dport;
	__u32 tick;
};

struct configuration {
	__u32 timeout[16]; /* ticks, by state */
	__u32 flags;
	__u32 pool4_count, pool6_count;
	__u16 pool_port_first, pool_port_last;
	__be32 pool4[32];
	__be32 pool6[32][4];
};

/* A packet as parsed: the only thing that scheduling looks at. */
struct packet {
	__be32 saddr[4], daddr[4];
	__be16 sport, dport;
	__u8 protocol;
	__u8 family;
	__u8 tcp_flags;
	__u8 fragment; /* 0: whole, 1: first, 2: following */
	__u16 l3, l4;  /* offsets */
	__u32 length;  /* of the IP packet, by its header */
	__u32 mark;
	__u32 dest;    /* result of scheduling */
	__be32 fragment_id;
	__u8 ttl;
	__u8 dont_fragment;
	__u8 icmp; /* 1: an ICMP error; the tuple is that of its inner packet, turned round */
	__u8 new_flow;
	__u16 inner;	/* offset of the packet in an ICMP error */
	__u16 inner_l4;
	__u8 local;	/* of a process on this host, on its way to the loopback */
	__u8 by_hand;	/* not a packet: an order of the process */
	__u8 behind;	/* has been with netfilter: its sender is not on this interface */
	__u8 zero[1];
};
