/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Numbers that the parts of the director share. */
#pragma once

#define ETHERTYPE_IP 0x0800
#define ETHERTYPE_IPV6 0x86dd

#define ETH_LEN 14
#define IP4_LEN 20
#define IP6_LEN 40
#define TCP_LEN 20
#define UDP_LEN 8
#define ICMP_LEN 8

#define AF_INET 2
#define AF_INET6 10

#ifndef IPPROTO_ICMPV6
#define IPPROTO_ICMPV6 58
#endif
#ifndef IPPROTO_NONE
#define IPPROTO_NONE 59
#endif
#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_DESTINATION 60

#define IP4_DF 0x4000
#define IP4_MF 0x2000
#define IP4_OFFSET 0x1fff

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

/* Time is counted in ticks of 2^24 ns (16.8 ms): a u32 of them lasts two
 * years, and a shift makes one. */
#define TICK_SHIFT 24
/* How many ticks a flow's last packet may be out of date (0.27 s): a busy
 * flow's memory is written that seldom. */
#define REFRESH_TICKS 16
/* How long a flow's own next hop is believed (1 s). */
#define LEARN_TICKS 60
/* How long a client's next hop is kept that no route leads to (1 min), and how
 * many the sweeper looks at each time it comes. */
#define UNLEARN_TICKS 3577
#define UNLEARN_PART 64
/* How long a datagram's following fragments are awaited (30 s). */
#define FRAGMENT_TICKS 1800

/* What became of a packet, in the core's own words. */
enum verdict {
	V_PASS,	     /* none of ours: the host's stack */
	V_DROP,
	V_FORWARD,   /* a flow was found or made */
	V_STATELESS, /* packet.dest says where, no flow remembers it */
	V_UNREACHABLE, /* no server: answer so */
};

/* Why a packet was dropped, or not forwarded. Keep in step with dropNames. */
enum drop {
	DROP_NONE,
	DROP_NO_SERVER,	      /* nothing to schedule to */
	DROP_SERVER_GONE,     /* the flow's server was removed */
	DROP_SYN_LIMIT,
	DROP_TABLE_FULL,      /* no room for a flow, and the method needs one */
	DROP_COLLISION,	      /* NAT: another flow answers from the same ports */
	DROP_NO_ROUTE,	      /* next hop not known */
	DROP_TOO_BIG,	      /* does not fit the next link; the sender was told */
	DROP_TTL,	      /* hop limit used up; the sender was told */
	DROP_MALFORMED,	      /* left to the host's stack, which drops it */
	DROP_FRAGMENT,	      /* following fragment whose first was not seen: left to the stack */
	DROP_POOL,	      /* FULLNAT: no port left in the pool */
	DROP_INTERNAL,
	DROP_STATELESS,	      /* not dropped: forwarded by hash as the table is full */
	DROP_REASONS,
};

/* Kinds of flow keys. */
enum kind {
	KIND_FLOW,
	KIND_CLIENT_PORT,  /* persistence: client network to address and port */
	KIND_CLIENT_ADDR,  /* persistence: client network to address, any port */
	KIND_CLIENT_MARK,  /* persistence: client network to a firewall mark */
};

enum method { NAT, DR, TUN, FULLNAT, LOCAL };

enum scheduler { S_RR, S_WRR, S_LC, S_WLC, S_SH, S_DH, S_MH, S_SED, S_NQ, S_FO, S_OVF, S_LBLC, S_LBLCR, S_TWOS };

/* service.flags */
#define SERVICE_HASH_FALLBACK 0x01
#define SERVICE_HASH_PORT 0x02
#define SERVICE_ONE_PACKET 0x04
#define SERVICE_SLOPPY 0x08	/* any TCP packet may begin a flow */
#define SERVICE_ANY_PORT 0x10	/* port 0, or a range: templates leave the port out */

/* dest.flags */
#define DEST_AVAILABLE 0x01

/* hop.flags */
#define HOP_MAC 0x01	 /* mac is known */
#define HOP_GATEWAY 0x02 /* gateway and ifindex are known */
#define HOP_GATEWAY6 0x04

/* flow.flags */
#define FLOW_REVERSE 0x01  /* from the server: belongs to a forward flow */
#define FLOW_SOURCE 0x02   /* rewrite the source */
#define FLOW_DESTINATION 0x04 /* rewrite the destination */
#define FLOW_NO_OUTPUT 0x08   /* answers do not pass here */
#define FLOW_ORPHAN 0x10      /* reverse without forward: one-packet */
#define FLOW_SYNCED 0x20      /* came from another director, and had no packets here since */
#define FLOW_HELD 0x40	      /* has a template that it keeps alive */
#define FLOW_LOCAL 0x80	      /* the client is this host */

/* settings.flags */
#define SET_EXPIRE_NO_DEST 0x01
#define SET_EXPIRE_QUIESCENT 0x02
#define SET_RANGES 0x04 /* the range map has entries */
#define SET_MARKS 0x08	/* there are services of marks */

/* TCP states, numbered as IPVS does. */
enum state {
	ST_NONE,
	ST_ESTABLISHED,
	ST_SYN_SENT,
	ST_SYN_RECV,
	ST_FIN_WAIT,
	ST_TIME_WAIT,
	ST_CLOSE,
	ST_CLOSE_WAIT,
	ST_LAST_ACK,
	ST_LISTEN,
	ST_SYNACK,
	ST_TCP_STATES,
	ST_UDP = ST_TCP_STATES,
	ST_TEMPLATE,
	ST_DEAD, /* being deleted: whoever set it gives the counts back */
	ST_STATES,
};

/* Which meaning of the pinned maps' bytes this is: a process that has another
 * begins anew. It is the size of settings, of which the first one is used. */
#define LAYOUT 1
#define BLOCK_SLOTS 16
/* How many servers a destination of lblcr has at most. IPVS knows no end. */
#define CACHED_SERVERS 16
/* How long lblc and lblcr remember a destination that nobody asks for, and how
 * long lblcr leaves its servers as they are (24 hours, as IPVS). */
#define CACHED_TICKS 5149841
#define LEARNED_HOPS 4096
#define LOOPBACK 1 /* its interface number, in every network namespace */
/* ICMP errors that one CPU sends in a second (RFC 4443, 2.4 f). */
#define COMPLAINTS 1000
/* How long after the table was full packets without a flow go by hash: as long
 * as a connection that was begun without one may last (15 minutes). */
#define FULL_TICKS 53644
