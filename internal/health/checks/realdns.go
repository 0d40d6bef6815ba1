package checks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"evenkeel/internal/model"
)

// realDNS is DNS_CHECK: a question that has to be answered without an error.
type realDNS struct {
	reach    *reach
	question dnsmessage.Question
	about    string
}

// dnsTypes are the types that have names here; 123 or TYPE123 is any other.
var dnsTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "NS": dnsmessage.TypeNS, "CNAME": dnsmessage.TypeCNAME, "SOA": dnsmessage.TypeSOA,
	"PTR": dnsmessage.TypePTR, "MX": dnsmessage.TypeMX, "TXT": dnsmessage.TypeTXT, "AAAA": dnsmessage.TypeAAAA,
	"SRV": dnsmessage.TypeSRV, "NAPTR": 35, "DS": 43, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "NSEC3": 50, "SVCB": 64, "HTTPS": 65, "CAA": 257, "ANY": dnsmessage.TypeALL,
}

func compileRealDNS(c *model.RealCheck, _ *RealEnv) (RealChecker, error) {
	r, err := newReach(c.Connect, c.Timeout)
	if err != nil {
		return nil, err
	}
	kind, name := "SOA", "."
	if c.DNS != nil {
		if c.DNS.Type != "" {
			kind = strings.ToUpper(c.DNS.Type)
		}
		if c.DNS.Name != "" {
			name = c.DNS.Name
		}
	}
	k := &realDNS{reach: r, about: kind + " " + name}
	k.question.Class = dnsmessage.ClassINET
	var known bool
	if k.question.Type, known = dnsTypes[kind]; !known {
		n, err := strconv.ParseUint(strings.TrimPrefix(kind, "TYPE"), 10, 16)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("unknown type %s; write A, AAAA, NS, SOA, MX, TXT, CNAME, or a number as in TYPE257", kind)
		}
		k.question.Type = dnsmessage.Type(n)
	}
	if k.question.Name, err = dnsmessage.NewName(strings.TrimSuffix(name, ".") + "."); err != nil {
		return nil, fmt.Errorf("name %s: %w", name, err)
	}
	if _, err := k.query(0); err != nil {
		return nil, fmt.Errorf("name %s: %w", name, err)
	}
	return k, nil
}

// query is the packet that asks.
func (k *realDNS) query(id uint16) ([]byte, error) {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{k.question}}
	return m.Pack()
}

// Run asks over UDP, and over TCP when the answer does not fit.
func (k *realDNS) Run(ctx context.Context, t RealTarget) RealResult {
	start, to := time.Now(), k.reach.to(t.Server)
	id := uint16(rand.Uint32())
	ask, err := k.query(id)
	if err != nil {
		return outcome(start, false, "%v", err)
	}
	c, err := k.reach.dial(ctx, "udp", to)
	if err != nil {
		return k.reach.unreached(start, "socket", to, err)
	}
	x := converse(ctx, c, k.reach.timeout, k.reach.timeout)
	defer x.end(true)
	if _, err := x.Write(ask); err != nil {
		return k.reach.unreached(start, "DNS question", to, err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := x.Read(buf)
		if err != nil {
			return x.broken(start, "DNS answer", to, err)
		}
		h, mine := k.answer(buf[:n], id)
		if !mine {
			continue // a stray, or somebody's guess: the answer may still come
		}
		if h.Truncated && h.RCode == dnsmessage.RCodeSuccess {
			return k.overTCP(ctx, start, to, ask, id)
		}
		return k.verdict(start, to, h)
	}
}

// answer reads a message's head and says whether it answers our question.
func (k *realDNS) answer(p []byte, id uint16) (h dnsmessage.Header, mine bool) {
	var d dnsmessage.Parser
	h, err := d.Start(p)
	if err != nil || !h.Response || h.ID != id {
		return h, false
	}
	q, err := d.AllQuestions()
	switch {
	case err != nil:
		return h, false
	case len(q) == 0:
		// Some servers leave the question out when they refuse it.
		return h, h.RCode != dnsmessage.RCodeSuccess
	}
	return h, len(q) == 1 && q[0].Type == k.question.Type && q[0].Class == k.question.Class &&
		strings.EqualFold(q[0].Name.String(), k.question.Name.String())
}

func (k *realDNS) verdict(start time.Time, to netip.AddrPort, h dnsmessage.Header) RealResult {
	if h.RCode != dnsmessage.RCodeSuccess {
		return outcome(start, false, "DNS answer %s to %s from %s", rcodeName(h.RCode), k.about, to)
	}
	return outcome(start, true, "DNS answer to %s from %s", k.about, to)
}

// rcodeName is the mnemonic of RFC 6895.
func rcodeName(r dnsmessage.RCode) string {
	names := []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}
	if int(r) < len(names) {
		return names[r]
	}
	return "RCODE" + strconv.Itoa(int(r))
}

// overTCP asks again: RFC 7766 section 8, messages with their length before.
func (k *realDNS) overTCP(ctx context.Context, start time.Time, to netip.AddrPort, ask []byte, id uint16) RealResult {
	c, err := k.reach.dial(ctx, "tcp", to)
	if err != nil {
		return k.reach.unreached(start, "DNS connection", to, err)
	}
	x := converse(ctx, c, k.reach.timeout, k.reach.timeout)
	defer x.end(false)
	if _, err := x.Write(slices.Concat(binary.BigEndian.AppendUint16(nil, uint16(len(ask))), ask)); err != nil {
		return x.broken(start, "DNS answer", to, err)
	}
	var size [2]byte
	if _, err := io.ReadFull(x, size[:]); err != nil {
		return x.broken(start, "DNS answer", to, shortRead(err))
	}
	p := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(x, p); err != nil {
		return x.broken(start, "DNS answer", to, shortRead(err))
	}
	h, mine := k.answer(p, id)
	if !mine {
		return outcome(start, false, "the DNS answer from %s over TCP is not to our question", to)
	}
	return k.verdict(start, to, h)
}

// shortRead words an end that came too early.
func shortRead(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the connection was closed")
	}
	return err
}
