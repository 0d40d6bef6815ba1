package haproxy

import (
	"slices"
	"strconv"

	"evenkeel/internal/model"
)

const redirectArgs = "location|prefix|scheme TARGET [code 301|302|303|307|308] [drop-query] [append-slash] [ignore-empty] [set-cookie NAME[=VALUE]] [clear-cookie NAME[=]]"

var verdictActions = []actionEntry{
	{Name: "allow", Sets: setHTTP, Final: true, Help: "ends these rules and lets the message pass", Parse: plain(model.ActionAllow{})},
	{Name: "auth", Args: "[realm TEXT]", Sets: setHTTPRequest, Final: true, Help: "asks for a user name and a password", Parse: parseAuth},
	{Name: "redirect", Args: redirectArgs, Sets: setHTTPRequest | setHTTPResponse, Final: true, Help: "answers with a redirection",
		Parse: func(a *actionArgs) (model.Action, error) { return parseRedirect(a, a.formatOf) }},
	{Name: "accept", Sets: setTCP, Final: true, Help: "ends these rules and lets the connection pass", Parse: plain(model.ActionAccept{})},
	{Name: "reject", Sets: setTCP | setHTTPRequest, Final: true, Help: "closes the connection", Parse: plain(model.ActionReject{})},
	{Name: "close", Sets: setTCPResponse, Final: true, Help: "closes the server's connection at once", Parse: plain(model.ActionClose{})},
	{Name: "silent-drop", Sets: setTCP | setHTTPRequest | setHTTPResponse, Help: "forgets the connection without telling the client", Parse: parseSilentDrop},
}

// plain is an action without arguments.
func plain(action model.Action) func(a *actionArgs) (model.Action, error) {
	return func(*actionArgs) (model.Action, error) { return action, nil }
}

func parseSilentDrop(a *actionArgs) (model.Action, error) {
	if a.peek() == "rst-ttl" {
		return nil, wrong(a.words[0].Pos, "take it out: the connection is dropped with the system's means", "'rst-ttl' of silent-drop is not supported yet")
	}
	return model.ActionSilentDrop{}, nil
}

func parseAuth(a *actionArgs) (model.Action, error) {
	act := model.ActionAuth{}
	if a.take("realm") {
		w, err := a.value("the realm")
		if err != nil {
			return nil, err
		}
		act.Realm = w.Text
	}
	return act, nil
}

var redirectWords = []string{"location", "prefix", "scheme", "code", "drop-query", "append-slash", "ignore-empty", "set-cookie", "clear-cookie"}

// parseRedirect reads a redirection. format reads its target, which is a
// log-format string in rules and plain text in `redirect` lines.
func parseRedirect(a *actionArgs, format func(word) (*model.Format, error)) (model.Action, error) {
	r := model.ActionRedirect{Code: 302}
	for a.more() && !isCondition(a.words[0]) {
		w := a.next()
		if !slices.Contains(redirectWords, w.Text) {
			return nil, wrong(w.Pos, closest(w.Text, redirectWords),
				"expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', 'clear-cookie', 'drop-query', 'ignore-empty' or 'append-slash' (was '%s')", w.Text)
		}
		switch w.Text {
		case "drop-query":
			r.DropQuery = true
			continue
		case "append-slash":
			r.AppendSlash = true
			continue
		case "ignore-empty":
			r.IgnoreEmpty = true
			continue
		}
		v, err := a.value("a value")
		if err != nil {
			return nil, err
		}
		if err := redirectValue(&r, w, v, format); err != nil {
			return nil, err
		}
	}
	if r.Type == "" {
		return nil, wrong(after(a.last), "write "+a.usage, "redirection type expected ('prefix', 'location', or 'scheme')")
	}
	return r, nil
}

func redirectValue(r *model.ActionRedirect, w, v word, format func(word) (*model.Format, error)) (err error) {
	switch w.Text {
	case "code":
		codes := []string{"301", "302", "303", "307", "308"}
		if !slices.Contains(codes, v.Text) {
			return wrong(v.Pos, "301 and 308 are permanent, the others are not; 307 and 308 keep the method",
				"'code': unsupported HTTP code '%s' (must be one of 301, 302, 303, 307 or 308)", v.Text)
		}
		r.Code, _ = strconv.Atoi(v.Text)
	case "set-cookie":
		r.SetCookie = v.Text
	case "clear-cookie":
		r.ClearCookie = v.Text
	default:
		r.Type = w.Text
		if w.Text == "prefix" && v.Text == "/" {
			// A sole "/" keeps the path as it is.
			r.Target = model.Literal(v.Pos, "")
			return nil
		}
		r.Target, err = format(v)
	}
	return err
}
