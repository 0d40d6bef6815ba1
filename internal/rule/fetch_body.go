package rule

import (
	"bytes"
	"fmt"
	"strconv"

	"evenkeel/internal/message"
)

func init() {
	const needs = "HTTP request body"
	addFetches("body", []FetchSpec{
		{Name: "req.body", Out: KindBinary, Phases: phaseHead, Needs: needs, Help: "what has been received of the request's body", build: fixed(func(tx *Tx) (Value, bool) {
			return Bin(tx.ReqBody), tx.request() != nil
		})},
		{Name: "req.body_len", Out: KindInt, Phases: phaseHead, Needs: needs, Help: "bytes received of the request's body", build: fixed(func(tx *Tx) (Value, bool) {
			return Int(int64(len(tx.ReqBody))), tx.request() != nil
		})},
		{Name: "req.body_size", Out: KindInt, Phases: phaseHead, Needs: needs, Help: "announced length of the request's body", build: fixed(func(tx *Tx) (Value, bool) {
			return Int(max(tx.ReqBodySize, int64(len(tx.ReqBody)))), tx.request() != nil
		})},
		{Name: "res.body", Out: KindBinary, Phases: phaseResHead, Needs: "HTTP response body", Help: "what has been received of the response's body", build: fixed(func(tx *Tx) (Value, bool) {
			return Bin(tx.ResBody), tx.Res != nil
		})},
		{Name: "res.body_len", Out: KindInt, Phases: phaseResHead, Needs: "HTTP response body", Help: "bytes received of the response's body", build: fixed(func(tx *Tx) (Value, bool) {
			return Int(int64(len(tx.ResBody))), tx.Res != nil
		})},
	})
	slot := func(res bool) func(b *binding, a []string) (sampler, error) {
		return func(b *binding, a []string) (sampler, error) {
			n, err := strconv.Atoi(a[0])
			if err != nil || n < 0 {
				return nil, fmt.Errorf("'%s' is not the number of a capture slot", a[0])
			}
			return func(tx *Tx) (Value, bool) {
				list := tx.ReqCaptures
				if res {
					list = tx.ResCaptures
				}
				if n >= len(list) || list[n] == nil {
					return Value{}, false
				}
				return Str(list[n]), true
			}, nil
		}
	}
	addFetches("captures", []FetchSpec{
		{Name: "capture.req.hdr", Args: "(slot)", Min: 1, Max: 1, Out: KindString, Phases: phaseHeadKept, Needs: needsRequest, Help: "captured request header", build: slot(false)},
		{Name: "capture.res.hdr", Args: "(slot)", Min: 1, Max: 1, Out: KindString, Phases: phaseResKept, Needs: needsResponse, Help: "captured response header", build: slot(true)},
		{Name: "capture.req.method", Out: KindString, Phases: phaseHeadKept, Needs: needsRequest, Help: "method, also in response rules", build: fixed(func(tx *Tx) (Value, bool) {
			m, _, _ := tx.requestLine()
			return Str(m), len(m) > 0
		})},
		{Name: "capture.req.uri", Out: KindString, Phases: phaseHeadKept, Needs: needsRequest, Help: "request target as received, also in response rules", build: fixed(func(tx *Tx) (Value, bool) {
			_, u, _ := tx.requestLine()
			return Str(u), len(u) > 0
		})},
		{Name: "capture.req.ver", Out: KindString, Phases: phaseHeadKept, Needs: needsRequest, Help: "HTTP/1.0 or HTTP/1.1, also in response rules", build: fixed(func(tx *Tx) (Value, bool) {
			h := tx.Req
			if h == nil {
				return Value{}, false
			}
			if h.Version >= message.HTTP11 {
				return Str(textHTTP11), true
			}
			return Str(textHTTP10), true
		})},
		{Name: "capture.res.ver", Out: KindString, Phases: phaseResKept, Needs: needsResponse, Help: "HTTP/1.0 or HTTP/1.1 of the response", build: response(func(tx *Tx, h *message.Head) (Value, bool) {
			if h.Version >= message.HTTP11 {
				return Str(textHTTP11), true
			}
			return Str(textHTTP10), true
		})},
	})
}

var textHTTP10, textHTTP11 = []byte("HTTP/1.0"), []byte("HTTP/1.1")

// requestLine gives the pieces of the request line as it was received, where
// the proxy kept it, else as it is now.
func (tx *Tx) requestLine() (method, target, version []byte) {
	if l := tx.Log.RequestLine; l != nil {
		i := bytes.IndexByte(l, ' ')
		j := bytes.LastIndexByte(l, ' ')
		if i >= 0 && j > i {
			return l[:i], l[i+1 : j], l[j+1:]
		}
		return l, nil, nil
	}
	if tx.Req == nil {
		return nil, nil, nil
	}
	v := textHTTP11
	switch tx.Req.Version {
	case message.HTTP10:
		v = textHTTP10
	case message.HTTP20:
		v = textHTTP20
	}
	return tx.Req.Method, tx.Req.Target, v
}

var textHTTP20 = []byte("HTTP/2.0")
