package alert

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"strconv"
	"strings"
	"time"
)

// Mail sends one mail for each event that asks for it, over SMTP.
type Mail struct {
	Server         string // host, address, or either with a port; "": 127.0.0.1
	Port           int    // 0: 25
	HELO           string // "": the host's name
	From           string // "": keepalived@host, as keepalived does
	To             []string
	RouterID       string        // in front of subjects: [router_id]; "": the host's name
	ConnectTimeout time.Duration // 0: 30 s
	// Limit is the most that is sent; the zero value is 60 mails in 10
	// minutes, of which 10 alike.
	Limit Limit
}

// stepTimeout is for one command of a conversation. RFC 5321 section 4.5.3.2
// would wait for minutes; an alarm that late can as well be tried again.
const stepTimeout = 30 * time.Second

// Key implements Spec.
func (m Mail) Key() string { return "mail" }

// Wants implements Spec.
func (m Mail) Wants(e *Event) bool { return e.Mail != nil }

func (m Mail) traits() traits {
	limit := m.Limit
	if limit == (Limit{}) {
		limit = Limit{Each: 10, Overall: 60, Window: 10 * time.Minute}
	}
	return traits{limit: limit, timeout: m.connectTimeout() + 2*time.Minute, giveUp: 24 * time.Hour, batch: 20, lastPause: 5 * time.Minute}
}

func (m Mail) connectTimeout() time.Duration {
	if m.ConnectTimeout <= 0 {
		return 30 * time.Second
	}
	return m.ConnectTimeout
}

func (m Mail) open(tell func(Severity, string)) (output, error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	o := &mailOutput{helo: m.HELO, from: m.From, router: m.RouterID, to: m.To, connect: m.connectTimeout(), tell: tell}
	if o.helo == "" {
		o.helo = host
	}
	if o.from == "" {
		o.from = "keepalived@" + host
	}
	if o.router == "" {
		o.router = host
	}
	if len(o.to) == 0 {
		return nil, errors.New("there is nobody to send mail to: fill notification_email")
	}
	o.sender = "<" + o.from + ">"
	if strings.Contains(o.from, "<") {
		a, err := mail.ParseAddress(o.from)
		if err != nil {
			return nil, fmt.Errorf("%q is not the address of a mailbox", o.from)
		}
		o.from, o.sender = a.Address, a.String()
	}
	for _, a := range append([]string{o.from, o.helo}, o.to...) {
		if a == "" || strings.ContainsAny(a, "\r\n<>\x00 \t") {
			return nil, fmt.Errorf("%q is not the address of a mailbox, or not a host's name", a)
		}
	}
	port := m.Port
	if port == 0 {
		port = 25
	}
	server := m.Server
	if server == "" {
		server = "127.0.0.1"
	}
	o.address = net.JoinHostPort(strings.Trim(server, "[]"), strconv.Itoa(port))
	if h, p, err := net.SplitHostPort(server); err == nil {
		o.address = net.JoinHostPort(h, p)
	}
	return o, nil
}

type mailOutput struct {
	// Set once.
	address, helo, from, router string
	sender                      string // the From header
	to                          []string
	connect                     time.Duration
	tell                        func(Severity, string)

	// A mail that some recipients got and others are to get later.
	partOf *Event
	partTo []string
}

func (o *mailOutput) send(ctx context.Context, batch []*Event) (int, error) {
	c, err := converse(ctx, o.address, o.helo, o.connect, stepTimeout)
	if err != nil {
		return 0, err
	}
	defer c.quit()
	for i, e := range batch {
		to := o.to
		if e == o.partOf {
			to = o.partTo
		}
		not, err := c.deliver(o.from, to, o.compose(e))
		if err != nil {
			return i, err
		}
		if len(not.refused) > 0 {
			o.tell(Warning, "some recipients are refused: "+strings.Join(not.refused, "; "))
		}
		if o.partOf, o.partTo = nil, nil; len(not.later) > 0 {
			o.partOf, o.partTo = e, not.later
			return i, fmt.Errorf("for now the server does not take mail for %s", strings.Join(not.later, ", "))
		}
	}
	return len(batch), nil
}

func (o *mailOutput) close() {}

// compose makes the mail of an event, with bare line feeds.
func (o *mailOutput) compose(e *Event) []byte {
	m := Message{Subject: e.Text}
	if e.Mail != nil {
		m = *e.Mail
	}
	if m.Body == "" {
		var b strings.Builder
		fmt.Fprintf(&b, "%s\n\nWhen: %s\nNode: %s\n", e.Text, e.At.Format(time.RFC1123Z), o.router)
		for _, f := range e.Fields {
			fmt.Fprintf(&b, "%s: %s\n", f.Name, oneLine(f.Value, maxText))
		}
		m.Body = b.String()
	}
	var id [12]byte
	rand.Read(id[:])
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\n", name, value) }
	header("Date", e.At.Format(time.RFC1123Z))
	header("From", o.sender)
	header("To", "<"+strings.Join(o.to, ">,\n <")+">")
	header("Subject", encodeHeader(fmt.Sprintf("[%s] %s", o.router, m.Subject)))
	header("Message-ID", fmt.Sprintf("<%s.%d@%s>", hex.EncodeToString(id[:]), e.At.Unix(), o.helo))
	header("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers, please
	header("X-Mailer", "evenkeel")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	if plainBody(m.Body) {
		b.WriteString("\n" + m.Body)
		return b.Bytes()
	}
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteByte('\n')
	w := quotedprintable.NewWriter(&b)
	w.Write([]byte(m.Body))
	w.Close()
	return b.Bytes()
}

// encodeHeader makes a header's value of a text: one line, and ASCII by RFC
// 2047. Long ones are folded at spaces.
func encodeHeader(s string) string {
	s = oneLine(s, 400)
	if enc := mime.QEncoding.Encode("utf-8", s); enc != s {
		// The encoder puts several words on one line.
		return strings.ReplaceAll(enc, "?= =?", "?=\n =?")
	}
	var b strings.Builder
	width := len("Subject: ")
	for i, w := range strings.Split(s, " ") {
		if i > 0 {
			if width+1+len(w) > 76 && w != "" {
				b.WriteString("\n")
				width = 0
			}
			b.WriteByte(' ')
			width++
		}
		b.WriteString(w)
		width += len(w)
	}
	return b.String()
}

// plainBody says whether a body can go out as it is: ASCII, and no line longer
// than RFC 5321 has it.
func plainBody(s string) bool {
	width := 0
	for _, c := range []byte(s) {
		if c >= 0x7f || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
		if width++; c == '\n' {
			width = 0
		}
		if width > 900 {
			return false
		}
	}
	return true
}

// TransitionMessage is the mail about an instance or group that changed its
// state, with keepalived's subject, which people filter by.
func TransitionMessage(object, name, state string) *Message {
	what := "Instance"
	if object == "GROUP" {
		what = "Group"
	}
	switch state {
	case "STOP":
		return &Message{Subject: fmt.Sprintf("VRRP %s %s - Stopping", what, name)}
	case "DELETED":
		return &Message{Subject: fmt.Sprintf("VRRP %s %s - Deleted", what, name)}
	}
	return &Message{Subject: fmt.Sprintf("VRRP %s %s - Entering %s state", what, name, state)}
}
