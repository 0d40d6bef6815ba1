package flowsync

import (
	"fmt"
	"net/netip"
	"time"
)

// reason is why a datagram of another director was not listened to.
type reason uint8

const (
	unsigned reason = iota // it has no key, this one has
	keyless                // it has a key, this one has none
	stranger               // it has another key
	heardTwice
	reasons
)

const (
	warnAgain  = 10 * time.Minute // between two warnings of a kind
	warnStatus = 30 * time.Second // so long it stands in the status
)

// refusals are what was not listened to. They are pure, and of the same size
// whoever sends what.
type refusals [reasons]struct {
	count  uint64
	from   netip.Addr // the last one
	at     time.Duration
	warned time.Duration // 0: never
}

// note counts one; the text is a warning where it is time for one.
func (l *refusals) note(now time.Duration, why reason, from netip.Addr) (warning string) {
	r := &l[why]
	r.count++
	r.from, r.at = from, max(now, 1)
	if why == heardTwice || r.warned != 0 && now-r.warned < warnAgain {
		return ""
	}
	r.warned = r.at
	return why.text(from)
}

// advice is what to do about those of late.
func (l *refusals) advice(now time.Duration) (list []string) {
	for why := range l {
		if r := &l[why]; reason(why) != heardTwice && r.at != 0 && now-r.at < warnStatus {
			list = append(list, reason(why).text(r.from))
		}
	}
	return list
}

func (r reason) text(from netip.Addr) string {
	switch r {
	case unsigned:
		return fmt.Sprintf("%v tells without a key and is not listened to: write lvs_sync_key_file there too, with a copy of this director's file", from)
	case keyless:
		return fmt.Sprintf("%v tells with a key, and this director has none: write lvs_sync_key_file here too, with a copy of that director's file", from)
	}
	return fmt.Sprintf("what %v tells was made with another key, or changed on its way, and is not listened to: the files of lvs_sync_key_file must have a key in common", from)
}

// idOf is the sync ID of a datagram of either kind, which is readable.
func idOf(b []byte) (id uint8, ok bool) {
	if !isSealed(b) && !isPlain(b) {
		return 0, false
	}
	return b[6], true
}

// unseal gives the datagram that another director has sent, where it is to be
// listened to, and answers one that wants to know whether this one lives.
func (d *Daemon) unseal(b []byte, from netip.Addr) (plain []byte, ok bool) {
	d.mu.Lock()
	now := d.now()
	if id, ok := idOf(b); ok && d.settings.ID != 0 && id != d.settings.ID {
		d.count.foreign++
		d.mu.Unlock()
		return nil, false
	}
	why, refused := reasons, true
	var o opened
	switch sealed := isSealed(b); {
	case d.vault == nil && !sealed:
		plain, ok, refused = b, true, false
	case d.vault == nil:
		why = keyless
	case !sealed && !isPlain(b):
		d.count.bad++
		refused = false
	case !sealed:
		why = unsigned
	default:
		switch o = d.vault.open(now, b); o.verdict {
		case forged:
			why = stranger
		case replayed:
			why = heardTwice
		default:
			plain, ok, refused = o.plain, o.verdict == taken, false
		}
	}
	warning := ""
	if refused {
		warning = d.refused.note(now, why, from)
	}
	d.mu.Unlock()
	if warning != "" {
		d.notice(true, warning)
	}
	// The answer goes first: what it proves has the other one listen.
	if o.begins || o.answer != (extensions{}) {
		d.sendWith(&header{kind: kindHello}, o.answer)
	}
	if o.begins {
		token(d.asked) // as who begins without a key asks
	}
	return plain, ok
}
