package checks

import "evenkeel/internal/pool"

// packet waits for a binary message. read gives its result, or says that it is
// not complete; what is cut off, or empty, is an invalid response.
type packet struct {
	min  int
	read func(in []byte) (r *Result, whole bool)
}

func (*packet) about() string { return " (expect custom function)" }

func (p *packet) run(x *exchange) *Result {
	for {
		if len(x.in) == 0 && x.eof {
			return &Result{Status: pool.CheckL7Response, Info: "TCPCHK got an empty response at step " + itoa(x.number)}
		}
		if len(x.in) > 0 && (len(x.in) >= p.min || x.eof) {
			r, whole := p.read(x.in)
			switch {
			case whole && r.Status.Passed():
				x.outcome = r
				return nil
			case whole:
				return r
			case x.eof:
				return &Result{Status: pool.CheckL7Response}
			}
		}
		if r := x.read(); r != nil {
			return r
		}
	}
}
