package vrrp

import (
	"testing"

	wire "evenkeel/internal/wire/vrrp"
)

// BenchmarkSend is a master's interval: the timer, and the packet.
func BenchmarkSend(b *testing.B) {
	m := New(basic())
	m.Step(0, Start{})
	m.Step(4*second, Timer{})
	h := wire.Header{Source: self, Destination: group, Protocol: wire.ProtocolVRRP, TTL: 255}
	var packet []byte
	b.ReportAllocs()
	for b.Loop() {
		at, _ := m.Deadline()
		for _, a := range m.Step(at, Timer{}) {
			if a.Kind == SendAdvert {
				packet = wire.Append(packet[:0], m.Advert(a.Priority, a.Sequence), &h, &m.config.Key)
			}
		}
	}
}

// BenchmarkReceive is a backup's interval: the packet, and the step.
func BenchmarkReceive(b *testing.B) {
	m := New(basic())
	m.Step(0, Start{})
	r := advert(&m.config, lower, 200)
	packet := wire.Append(nil, &r.Advert, &r.Header, &m.config.Key)
	now := second
	b.ReportAllocs()
	for b.Loop() {
		now += second
		r.Err = wire.Parse(&r.Advert, packet, &r.Header, m.Expect())
		if a := m.Step(now, r); len(a) != 0 {
			b.Fatal(words(a))
		}
	}
}
