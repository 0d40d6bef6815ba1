package alert

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxText bounds the text of one line in bytes.
const maxText = 2000

// logLimit is for sinks that a machine reads: it only stops floods.
var logLimit = Limit{Each: 50, Overall: 2000, Window: 10 * time.Second}

// facilities in the order of their codes (RFC 3164, with keepalived's names).
var facilities = strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp - - - - " +
	"local0 local1 local2 local3 local4 local5 local6 local7")

// Facility gives the code of a facility's name.
func Facility(name string) (int, bool) {
	i := slices.Index(facilities, strings.ToLower(name))
	return i, i >= 0 && name != "-"
}

// Syslog sends lines of RFC 3164.
type Syslog struct {
	// Address is "" for /dev/log, a path of a datagram socket, or host[:port]
	// for UDP (port 514).
	Address  string
	Facility string   // "": daemon
	Tag      string   // "": Keepalived_vrrp, so that filters go on working
	PID      int      // 0: this process
	Level    Severity // the least urgent that is sent; 0: Info
}

// Key implements Spec.
func (s Syslog) Key() string {
	if s.Address == "" {
		return "syslog"
	}
	return "syslog " + s.Address
}

// Wants implements Spec.
func (s Syslog) Wants(e *Event) bool { return wantsLevel(s.Level, e) }

func (s Syslog) traits() traits {
	return traits{limit: logLimit, local: true, timeout: 5 * time.Second, giveUp: time.Hour, batch: 64, lastPause: 10 * time.Second}
}

func (s Syslog) open(func(Severity, string)) (output, error) {
	o := &syslogOutput{network: "unixgram", address: s.Address, tag: s.Tag}
	if s.Address == "" {
		o.address = "/dev/log"
	}
	if o.address[0] != '/' {
		o.network = "udp"
		if _, _, err := net.SplitHostPort(o.address); err != nil {
			o.address = net.JoinHostPort(strings.Trim(o.address, "[]"), "514")
		}
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		o.host, _, _ = strings.Cut(host, ".")
	}
	if o.tag == "" {
		o.tag = "Keepalived_vrrp"
	}
	name := s.Facility
	if name == "" {
		name = "daemon"
	}
	f, ok := Facility(name)
	if !ok {
		return nil, fmt.Errorf("unknown facility %q; one of daemon, user, local0 to local7", name)
	}
	o.facility = f
	o.pid = s.PID
	if o.pid == 0 {
		o.pid = os.Getpid()
	}
	return o, nil
}

// syslogOutput opens its socket when there is something to send, and again
// when the daemon was restarted.
type syslogOutput struct {
	// Set once.
	network, address string
	facility, pid    int
	tag, host        string

	conn net.Conn
	buf  []byte
}

// append makes one line.
func (o *syslogOutput) append(b []byte, e *Event) []byte {
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(o.facility*8+int(e.Severity)), 10)
	b = append(b, '>')
	b = e.At.Local().AppendFormat(b, "Jan _2 15:04:05 ")
	if o.host != "" {
		b = append(append(b, o.host...), ' ')
	}
	b = append(append(b, o.tag...), '[')
	b = strconv.AppendInt(b, int64(o.pid), 10)
	b = append(b, "]: "...)
	return append(b, oneLine(e.Text, maxText)...)
}

func (o *syslogOutput) send(ctx context.Context, batch []*Event) (int, error) {
	for i, e := range batch {
		o.buf = o.append(o.buf[:0], e)
		if err := o.write(ctx, o.buf); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// write sends one datagram. The first failure may only mean that the daemon
// has a new socket, so a second follows at once.
func (o *syslogOutput) write(ctx context.Context, b []byte) error {
	fresh := o.conn == nil
	for {
		if o.conn == nil {
			var d net.Dialer
			c, err := d.DialContext(ctx, o.network, o.address)
			if err != nil {
				return err
			}
			o.conn = c
		}
		if until, ok := ctx.Deadline(); ok {
			o.conn.SetWriteDeadline(until)
		}
		conn := o.conn // it may be closed and forgotten before the other goroutine runs
		stop := context.AfterFunc(ctx, func() { conn.SetWriteDeadline(time.Unix(1, 0)) })
		_, err := conn.Write(b)
		stop()
		if err == nil {
			return nil
		}
		if errors.Is(err, syscall.EMSGSIZE) {
			return permanent{err}
		}
		o.close()
		if fresh || ctx.Err() != nil {
			return err
		}
		fresh = true
	}
}

func (o *syslogOutput) close() {
	if o.conn != nil {
		o.conn.Close()
		o.conn = nil
	}
}
