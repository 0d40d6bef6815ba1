package haproxy

import (
	"strconv"

	"evenkeel/internal/model"
)

var connectionActions = []actionEntry{
	{Name: "set-src", Args: "EXPRESSION", Sets: setRequest, Help: "replaces the client's address", Parse: exprAction(func(e *model.Expr) model.Action { return model.ActionSetSrc{Expr: e} })},
	{Name: "set-src-port", Args: "EXPRESSION", Sets: setRequest, Help: "replaces the client's port", Parse: exprAction(func(e *model.Expr) model.Action { return model.ActionSetSrcPort{Expr: e} })},
	{Name: "set-dst", Args: "EXPRESSION", Sets: setRequest, Help: "replaces the address that was connected to", Parse: exprAction(func(e *model.Expr) model.Action { return model.ActionSetDst{Expr: e} })},
	{Name: "set-dst-port", Args: "EXPRESSION", Sets: setRequest, Help: "replaces the port that was connected to", Parse: exprAction(func(e *model.Expr) model.Action { return model.ActionSetDstPort{Expr: e} })},
	{Name: "set-priority-class", Args: "EXPRESSION", Sets: setTCPContent | setHTTPRequest, Help: "sets the class in the servers' queues: the lowest is served first", Parse: exprAction(func(e *model.Expr) model.Action { return model.ActionSetPriorityClass{Expr: e} })},
	{Name: "set-priority-offset", Args: "EXPRESSION", Sets: setTCPContent | setHTTPRequest, Help: "moves a request in its class by milliseconds", Parse: exprAction(func(e *model.Expr) model.Action { return model.ActionSetPriorityOffset{Expr: e} })},
	{Name: "set-mark", Args: "MARK", Sets: setTCP | setHTTPRequest | setHTTPResponse, Help: "sets the firewall mark of packets to the client", Parse: parseSetMark},
	{Name: "set-fc-mark", Args: "MARK", Sets: setTCP | setHTTPRequest | setHTTPResponse, Help: "sets the firewall mark of packets to the client", Parse: parseSetMark},
	{Name: "set-tos", Args: "TOS", Sets: setTCP | setHTTPRequest | setHTTPResponse, Help: "sets the TOS byte of packets to the client", Parse: parseSetTOS},
	{Name: "set-fc-tos", Args: "TOS", Sets: setTCP | setHTTPRequest | setHTTPResponse, Help: "sets the TOS byte of packets to the client", Parse: parseSetTOS},
	{Name: "set-nice", Args: "NICE", Sets: setStream, Help: "sets the priority of the exchange, -1024 to 1024", Parse: parseSetNice},
	{Name: "set-log-level", Args: "silent|emerg|alert|crit|err|warning|notice|info|debug", Sets: setStream | setHTTPAfter, Help: "sets the level of the log line", Parse: parseSetLogLevel},
	{Name: "expect-proxy", Args: "layer4", Sets: setTCPConnection, Help: "reads a PROXY protocol header first", Parse: parseExpectProxy},
}

// exprAction is an action whose only argument is an expression.
func exprAction(action func(*model.Expr) model.Action) func(a *actionArgs) (model.Action, error) {
	return func(a *actionArgs) (model.Action, error) {
		e, err := a.expr()
		if err != nil {
			return nil, err
		}
		return action(e), nil
	}
}

// cNumber reads a number as C does: decimal, 0x hexadecimal or 0 octal.
func cNumber(w word, bits int) (uint64, error) {
	n, err := strconv.ParseUint(w.Text, 0, bits)
	if err != nil {
		return 0, wrong(w.Pos, "write a number such as 16 or 0x10, of "+strconv.Itoa(bits)+" bits at most",
			"invalid character starting at '%s' (integer/hex value expected)", w.Text)
	}
	return n, nil
}

func parseSetMark(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	n, err := cNumber(w[0], 32)
	return model.ActionSetMark{Mark: uint32(n)}, err
}

func parseSetTOS(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	n, err := cNumber(w[0], 32)
	if n > 255 {
		a.p.warnf(w[0].Pos, "write a number between 0 and 255", "the TOS %s does not fit into its byte: only the low 8 bits are used", w[0].Text)
	}
	return model.ActionSetTOS{TOS: int(n & 255)}, err
}

// parseSetNice reads what HAProxy's atoi would, and cuts it to the range.
func parseSetNice(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(w[0].Text)
	if err != nil {
		return nil, wrong(w[0].Pos, numberRange(-1024, 1024), "'set-nice' expects a number, got '%s'", w[0].Text)
	}
	if n < -1024 || n > 1024 {
		a.p.warnf(w[0].Pos, numberRange(-1024, 1024), "the nice value %d is cut to its range", n)
	}
	return model.ActionSetNice{Nice: min(max(n, -1024), 1024)}, nil
}

func parseSetLogLevel(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	err = oneOf(w[0], "the log level", "silent", "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
	return model.ActionSetLogLevel{Level: w[0].Text}, err
}

func parseExpectProxy(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	if w[0].Text != "layer4" {
		return nil, wrong(w[0].Pos, "write expect-proxy layer4", "'expect-proxy' only supports 'layer4' (got '%s')", w[0].Text)
	}
	return model.ActionExpectProxy{Layer: 4}, nil
}
