package probe

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

// Origin answers every request with its name, for ever.
func Origin(address, name string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("origin %s: %w", name, err)
	}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Origin", name)
		fmt.Fprintln(w, name)
	})}
	return s.Serve(l)
}
