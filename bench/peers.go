package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// program is a proxy that is measured.
type program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	path    string
}

// Ports of a run, from the first of its block.
const (
	originOffset = 1 // HAProxy's, then evenkeel's
	proxyOffset  = 3 // HAProxy, then evenkeel
)

// CPUs of a one-thread scenario.
const (
	proxyCPU = 0
	loadCPU  = 1
)

func (b *bench) cpu(n int) int {
	if !b.pin || runtime.NumCPU() < 2 {
		return -1
	}
	return n
}

// originPort is where the origin listens for one of the programs. Each has its
// own: the connections that one leaves behind, open or in TIME_WAIT, would take
// local ports from the other, whose turn comes next.
func (b *bench) originPort(which int) int { return b.port + originOffset + which }

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

// Every request in the echo answer: what reached the origin is compared.
const originText = `
daemon off;
master_process off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid DIR/nginx.pid;
error_log DIR/nginx.log error;
USER
events { worker_connections 19000; }
http {
	access_log off;
	client_body_temp_path DIR/t1;
	proxy_temp_path DIR/t2;
	fastcgi_temp_path DIR/t3;
	uwsgi_temp_path DIR/t4;
	scgi_temp_path DIR/t5;
	sendfile on;
	tcp_nodelay on;
	keepalive_timeout 600s;
	keepalive_requests 1000000000;
	open_file_cache max=16 inactive=1h;
	open_file_cache_valid 1h;
	default_type text/plain;
	server {
		listen 127.0.0.1:PORT0 backlog=4096;
		listen 127.0.0.1:PORT1 backlog=4096;
		root DIR/www;
		location /echo {
			add_header X-Powered-By bench;
			add_header X-Debug-Id 17;
			return 200 "$request|for=$http_x_forwarded_for|proto=$http_x_forwarded_proto|port=$http_x_forwarded_port|real=$http_x_real_ip|via=$http_x_via|ua=$http_user_agent|debug=$http_x_debug|auth=$http_authorization|class=$http_x_class|host=$http_host|accept=$http_accept_encoding|cookie=$http_cookie";
		}
	}
}
`

func (b *bench) startOrigin() error {
	nginx, err := findTool("nginx")
	if err != nil {
		return err
	}
	if err := os.Mkdir(b.file("www"), 0o755); err != nil {
		return err
	}
	for name, size := range map[string]int{"1k": 1 << 10, "64k": 64 << 10} {
		if err := os.WriteFile(b.file("www/"+name), []byte(strings.Repeat("evenkeel", size/8)), 0o644); err != nil {
			return err
		}
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	text := strings.NewReplacer("DIR", b.dir, "PORT0", fmt.Sprint(b.originPort(0)), "PORT1", fmt.Sprint(b.originPort(1)), "USER", user).Replace(originText)
	if err := os.WriteFile(b.file("nginx.conf"), []byte(text), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(nginx, "-e", b.file("nginx.log"), "-p", b.dir, "-c", b.file("nginx.conf"))
	if b.origin, err = b.procs.start(cmd, b.file("nginx.out"), b.cpu(loadCPU)); err != nil {
		return err
	}
	return listening(b.origin, b.originPort(1))
}

// proxyConfig is the part of a configuration that scenarios differ in. Both
// programs get the same text, apart from ports and socket.
type proxyConfig struct {
	threads  int
	tcp      bool
	bind     string   // after the address: ssl crt …
	frontend []string // lines
	defaults []string
}

const configText = `global
    nbthread THREADS
    maxconn 9500
    stats socket SOCKET mode 600 level admin expose-fd listeners
defaults
    mode MODE
    timeout connect 5s
    timeout client 120s
    timeout server 120s
DEFAULTS

frontend bench
    bind 127.0.0.1:PORT BIND
FRONTEND
    default_backend origin

backend origin
    server nginx 127.0.0.1:ORIGIN
`

func (b *bench) configText(c proxyConfig, which, port int, socket string) string {
	mode, defaults := "http", append([]string{"option forwardfor"}, c.defaults...)
	if c.tcp {
		mode, defaults = "tcp", c.defaults
	}
	indent := func(lines []string) string {
		var s strings.Builder
		for _, l := range lines {
			s.WriteString("    " + l + "\n")
		}
		return strings.TrimSuffix(s.String(), "\n")
	}
	return strings.NewReplacer("THREADS", fmt.Sprint(c.threads), "SOCKET", socket, "MODE", mode,
		"DEFAULTS", indent(defaults), "PORT", fmt.Sprint(port), "BIND", c.bind, "FRONTEND", indent(c.frontend),
		"ORIGIN", fmt.Sprint(b.originPort(which))).Replace(configText)
}

// proxy is a running program.
type proxy struct {
	*process
	program program
	port    int
	config  string // path
	socket  string
}

// Names of runtime sockets stay short: a unix address has 107 bytes.
func (b *bench) startProxy(which int, name string, c proxyConfig, cpu int, args ...string) (*proxy, error) {
	p := &proxy{program: b.peers[which], port: b.port + proxyOffset + b.shift + which,
		config: b.file(name + "-" + b.peers[which].Name + ".cfg"), socket: b.file(fmt.Sprintf("%s-%d.sock", name, which))}
	if err := os.WriteFile(p.config, []byte(b.configText(c, which, p.port, p.socket)), 0o644); err != nil {
		return nil, err
	}
	if len(args) == 0 {
		args = []string{"-db"}
	}
	if err := b.launch(p, cpu, args...); err != nil {
		return nil, err
	}
	return p, listening(p.process, p.port)
}

// launch starts the program as `haproxy` (its first argument decides what
// evenkeel is).
func (b *bench) launch(p *proxy, cpu int, args ...string) error {
	cmd := exec.Command(p.program.path, append([]string{"-f", p.config}, args...)...)
	cmd.Args[0] = "haproxy"
	var err error
	p.process, err = b.procs.start(cmd, strings.TrimSuffix(p.config, ".cfg")+".log", cpu)
	return err
}

// worker is the process that carries the traffic: the youngest child, or the
// process itself.
func (p *proxy) worker() int {
	if c := descendants(p.pid()); len(c) > 0 {
		return slices.Max(c)
	}
	return p.pid()
}

// log is what the program wrote.
func (p *proxy) logText() string {
	text, _ := os.ReadFile(p.log)
	return string(text)
}

// certificate writes a combined file as HAProxy reads it.
func (b *bench) certificate() (string, error) {
	path := b.file("bench.pem")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	return path, os.WriteFile(path, text, 0o600)
}

// answer is what a client and the origin saw of one request.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

// fetch asks one question, with the headers of the load.
func fetch(url string, headers []string) (answer, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: insecure()}, Timeout: 5 * time.Second}
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return answer{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	res.Header.Del("Date")
	return answer{Status: res.StatusCode, Header: res.Header, Body: string(body)}, err
}
