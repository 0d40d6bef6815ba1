package alert

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Webhook posts each event as a JSON object to a URL.
type Webhook struct {
	URL     string
	Headers []string      // "Name: value"; values are never shown
	Timeout time.Duration // of one request; 0: 10 s
	Node    string        // router_id; "": the host's name
	Level   Severity      // the least urgent that is sent; 0: Info
	// Limit is the most that is sent; the zero value is 60 a minute, of which
	// 20 alike.
	Limit Limit
}

// Key implements Spec. Paths and queries hold tokens, so a digest of the URL
// tells two of them apart.
func (w Webhook) Key() string {
	sum := sha256.Sum256([]byte(w.URL))
	host := "?"
	if u, err := url.Parse(w.URL); err == nil && u.Host != "" {
		host = u.Host
	}
	return "webhook " + host + "/" + hex.EncodeToString(sum[:3])
}

// Wants implements Spec.
func (w Webhook) Wants(e *Event) bool { return wantsLevel(w.Level, e) }

func (w Webhook) traits() traits {
	limit := w.Limit
	if limit == (Limit{}) {
		limit = Limit{Each: 20, Overall: 60, Window: time.Minute}
	}
	// The request has the time limit: a batch is one event.
	return traits{limit: limit, timeout: w.timeout(), giveUp: 6 * time.Hour, batch: 1}
}

func (w Webhook) timeout() time.Duration {
	if w.Timeout <= 0 {
		return 10 * time.Second
	}
	return w.Timeout
}

func (w Webhook) open(func(Severity, string)) (output, error) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the URL must begin with http:// or https:// and a host")
	}
	o := &webhookOutput{url: w.URL, header: http.Header{}, node: w.Node}
	for _, h := range w.Headers {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || strings.ContainsAny(name+value, "\r\n") {
			return nil, fmt.Errorf("the header %q must be of the form Name: value", name)
		}
		o.header.Add(name, value)
	}
	if o.header.Get("Content-Type") == "" {
		o.header.Set("Content-Type", "application/json")
	}
	if o.header.Get("User-Agent") == "" {
		o.header.Set("User-Agent", "evenkeel")
	}
	if o.node == "" {
		o.node, _ = os.Hostname()
	}
	o.transport = &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true}
	// A redirection would carry the headers to a place that nobody named.
	o.client = &http.Client{Transport: o.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return o, nil
}

type webhookOutput struct {
	// Set once.
	url       string
	header    http.Header
	node      string
	client    *http.Client
	transport *http.Transport
}

// payload is the JSON object. Its names are kept once they are here.
type payload struct {
	Node     string            `json:"node"`
	Time     time.Time         `json:"time"`
	Kind     string            `json:"kind"`
	Severity string            `json:"severity"`
	Plane    string            `json:"plane"`
	Name     string            `json:"name,omitempty"`
	Text     string            `json:"text"`
	Object   string            `json:"object,omitempty"`
	State    string            `json:"state,omitempty"`
	Priority *int              `json:"priority,omitempty"`
	Fields   map[string]string `json:"fields,omitempty"`
}

func (o *webhookOutput) send(ctx context.Context, batch []*Event) (int, error) {
	for i, e := range batch {
		if err := o.post(ctx, e); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

func (o *webhookOutput) post(ctx context.Context, e *Event) error {
	p := payload{Node: o.node, Time: e.At, Kind: e.Kind, Severity: e.Severity.String(), Plane: e.Plane, Name: e.Name, Text: e.Text}
	if n := e.Notify; n != nil && n.Line == "" {
		p.Object, p.State, p.Priority = n.Object, n.State, &n.Priority
	}
	if len(e.Fields) > 0 {
		p.Fields = map[string]string{}
		for _, f := range e.Fields {
			p.Fields[f.Name] = f.Value
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return permanent{err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return permanent{errors.New("the URL cannot be used")}
	}
	req.Header = o.header.Clone()
	if h := req.Header.Get("Host"); h != "" {
		req.Host = h
		req.Header.Del("Host")
	}
	resp, err := o.client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the whole one shows the URL
		}
		return err
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection is used again
	switch c := resp.StatusCode; {
	case c >= 200 && c < 300:
		return nil
	case c == http.StatusRequestTimeout, c == http.StatusTooEarly, c == http.StatusTooManyRequests, c >= 500:
		return fmt.Errorf("the server answered %s", statusText(c))
	case c >= 300 && c < 400:
		return permanent{fmt.Errorf("the server answered %s; redirections are not followed, give the final URL", statusText(c))}
	default:
		return permanent{fmt.Errorf("the server answered %s", statusText(c))}
	}
}

func statusText(code int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", code, http.StatusText(code)))
}

func (o *webhookOutput) close() { o.transport.CloseIdleConnections() }
