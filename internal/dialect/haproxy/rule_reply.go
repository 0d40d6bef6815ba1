package haproxy

import (
	"slices"
	"strconv"

	"evenkeel/internal/model"
)

const replyArgs = "[status CODE] [content-type TYPE] [default-errorfiles | errorfile FILE | errorfiles NAME | file FILE | lf-file FILE | string TEXT | lf-string FORMAT] [hdr NAME FORMAT]…"

var replyActions = []actionEntry{
	{Name: "deny", Args: "[deny_status CODE] " + replyArgs, Sets: setHTTPRequest | setHTTPResponse, Final: true,
		Help: "answers with an error, 403 for a request and 502 for a response", Parse: parseDeny},
	{Name: "tarpit", Args: "[deny_status CODE] " + replyArgs, Sets: setHTTPRequest, Final: true,
		Help: "keeps the client waiting for timeout tarpit, then answers with an error, 500 by default", Parse: parseTarpit},
	{Name: "return", Args: replyArgs, Sets: setHTTPRequest | setHTTPResponse, Final: true,
		Help: "answers, with 200 by default", Parse: parseReturn},
}

func parseDeny(a *actionArgs) (model.Action, error) {
	def := 403
	if a.in(setHTTPResponse) {
		def = 502
	}
	r, err := parseDenyReply(a, def)
	return model.ActionDeny{Reply: r}, err
}

func parseTarpit(a *actionArgs) (model.Action, error) {
	r, err := parseDenyReply(a, 500)
	return model.ActionTarpit{Reply: r}, err
}

// parseDenyReply reads the reply of a refusal: nil where the default error
// message is meant.
func parseDenyReply(a *actionArgs, def int) (*model.Reply, error) {
	if !a.more() || isCondition(a.words[0]) {
		return nil, nil
	}
	if a.peek() != "deny_status" {
		return parseReply(a, def)
	}
	a.next()
	w, err := a.value("a status code")
	if err != nil {
		return nil, err
	}
	status, err := replyStatus(w)
	if err != nil {
		return nil, err
	}
	rest, err := parseReply(a, status)
	if err != nil {
		return nil, err
	}
	rest.Status = status
	if rest.Body == nil && rest.BodyBytes == nil && rest.Raw == nil && rest.ErrorFiles == "" && len(rest.Headers) == 0 {
		rest.DefaultErrorFiles = true
		return rest, checkErrorStatus(w.Pos, status)
	}
	return rest, nil
}

func parseReturn(a *actionArgs) (model.Action, error) {
	r, err := parseReply(a, 200)
	return model.ActionReturn{Reply: r}, err
}

func replyStatus(w word) (int, error) {
	n, err := strconv.Atoi(w.Text)
	if err != nil || n < 200 || n > 599 {
		return 0, wrong(w.Pos, "write a status code between 200 and 599", "Unexpected status code '%s'", w.Text)
	}
	return n, nil
}

func checkErrorStatus(pos model.Pos, status int) error {
	if slices.Contains(errorStatuses, status) {
		return nil
	}
	return wrong(pos, "write 'status "+strconv.Itoa(status)+"' without error files, or with a string or file of your own",
		"status code '%d' not handled by default with 'default-errorfiles' argument", status)
}

// replyReader reads the arguments of a reply, in any order.
type replyReader struct {
	a         *actionArgs
	reply     *model.Reply
	statusPos model.Pos
	source    string // the argument that the message comes from
	typePos   model.Pos
	payload   bool // the source is a body, and it is not empty
}

// parseReply reads the arguments of return, deny, tarpit and http-error up to
// the first word that is none.
func parseReply(a *actionArgs, def int) (*model.Reply, error) {
	r := &replyReader{a: a, reply: &model.Reply{Pos: a.name.Pos}}
	for a.more() {
		read := replyArguments[a.peek()]
		if read == nil {
			break
		}
		w := a.next()
		if err := read(r, w); err != nil {
			return nil, err
		}
	}
	return r.reply, r.check(def)
}

// replyArguments is the table of a reply's arguments. It is filled by init
// because its functions come back to it.
var replyArguments map[string]func(r *replyReader, w word) error

func init() {
	replyArguments = map[string]func(r *replyReader, w word) error{
		"status":             (*replyReader).status,
		"content-type":       (*replyReader).contentType,
		"hdr":                (*replyReader).header,
		"default-errorfiles": (*replyReader).defaultErrorFiles,
		"errorfile":          (*replyReader).errorFile,
		"errorfiles":         (*replyReader).errorFiles,
		"file":               (*replyReader).file,
		"lf-file":            (*replyReader).formatFile,
		"string":             (*replyReader).text,
		"lf-string":          (*replyReader).formatText,
	}
}

func (r *replyReader) status(w word) error {
	v, err := r.a.value("a status code")
	if err != nil {
		return err
	}
	r.statusPos = v.Pos
	r.reply.Status, err = replyStatus(v)
	return err
}

func (r *replyReader) contentType(w word) error {
	v, err := r.a.value("a media type")
	r.reply.ContentType, r.typePos = v.Text, w.Pos
	return err
}

func (r *replyReader) header(w word) error {
	if len(r.a.words) < 2 {
		return r.a.missing("'hdr' expects <name> and <value> as arguments")
	}
	name, value := r.a.next(), r.a.next()
	r.a.checkHeaderName(name)
	f, err := r.a.formatOf(value)
	if err != nil {
		return err
	}
	r.reply.Headers = append(r.reply.Headers, model.HeaderFormat{Pos: name.Pos, Name: name.Text, Value: f})
	return nil
}

// from notes where the message comes from; only one argument can say so.
func (r *replyReader) from(w word) error {
	if r.source != "" {
		return wrong(w.Pos, "keep one of them", "unexpected '%s' argument, '%s' already defined", w.Text, r.source)
	}
	r.source = w.Text
	return nil
}

// sourceValue is from, and the argument behind the word.
func (r *replyReader) sourceValue(w word, what string) (word, error) {
	if err := r.from(w); err != nil {
		return word{}, err
	}
	return r.a.value(what)
}

func (r *replyReader) defaultErrorFiles(w word) error {
	r.reply.DefaultErrorFiles = true
	return r.from(w)
}

func (r *replyReader) errorFiles(w word) error {
	v, err := r.sourceValue(w, "the name of an http-errors section")
	r.reply.ErrorFiles = v.Text
	return err
}

func (r *replyReader) load(w word) (word, []byte, error) {
	v, err := r.sourceValue(w, "the name of a file")
	if err != nil {
		return v, nil, err
	}
	data, err := r.a.p.readAux(v)
	return v, data, err
}

func (r *replyReader) errorFile(w word) error {
	_, data, err := r.load(w)
	r.reply.Raw = data
	return err
}

func (r *replyReader) file(w word) error {
	_, data, err := r.load(w)
	if data == nil {
		data = []byte{}
	}
	r.reply.BodyBytes, r.payload = data, len(data) > 0
	return err
}

// formatFile reads a file that is a format. Messages name the file's lines.
func (r *replyReader) formatFile(w word) error {
	v, data, err := r.load(w)
	if err != nil {
		return err
	}
	r.payload = len(data) > 0
	text := word{Text: string(data), Pos: model.Pos{File: v.Text, Line: 1, Col: 1}}
	r.reply.Body, err = r.a.formatOf(text)
	if d, ok := err.(model.Diagnostic); ok && d.Pos.File == v.Text {
		d.Pos = placeIn(data, d.Pos)
		return d
	}
	return err
}

// placeIn turns a column counted over a whole file into line and column.
func placeIn(data []byte, pos model.Pos) model.Pos {
	for i := 0; i < len(data) && i < pos.Col-1; i++ {
		if data[i] == '\n' {
			rest := placeIn(data[i+1:], model.Pos{File: pos.File, Line: pos.Line + 1, Col: pos.Col - i - 1})
			return rest
		}
	}
	return pos
}

func (r *replyReader) text(w word) error {
	v, err := r.sourceValue(w, "a text")
	r.reply.BodyBytes, r.payload = []byte(v.Text), v.Text != ""
	return err
}

func (r *replyReader) formatText(w word) error {
	v, err := r.sourceValue(w, "a format")
	if err != nil {
		return err
	}
	r.payload = v.Text != ""
	r.reply.Body, err = r.a.formatOf(v)
	return err
}

// check looks at the arguments together.
func (r *replyReader) check(def int) error {
	p := r.a.p
	switch r.source {
	case "default-errorfiles", "errorfiles", "errorfile":
		status := r.reply.Status
		if status == 0 {
			status, r.statusPos = def, r.reply.Pos
		}
		if r.source != "errorfile" || r.reply.Status != 0 {
			if err := checkErrorStatus(r.statusPos, status); err != nil {
				return err
			}
		}
		if r.reply.ContentType != "" {
			p.warnf(r.typePos, "take it out", "content-type '%s' ignored by the http reply when used with an errorfile", r.reply.ContentType)
			r.reply.ContentType = ""
		}
		if len(r.reply.Headers) > 0 {
			p.warnf(r.reply.Headers[0].Pos, "put them into the error file", "hdr parameters ignored by the http reply when used with an errorfile")
			r.reply.Headers = nil
		}
	case "":
		if r.reply.ContentType != "" {
			p.warnf(r.typePos, "take it out", "content-type '%s' ignored by the http reply because neither errorfile nor payload defined", r.reply.ContentType)
			r.reply.ContentType = ""
		}
	default:
		if r.payload && r.reply.ContentType == "" {
			return wrong(after(r.a.last), "write 'content-type text/plain', or what the payload is", "a content type must be defined when non-empty payload is configured")
		}
	}
	return nil
}
