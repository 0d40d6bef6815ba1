package model

import "time"

// Rule is one statement of a block. Either Action is set (with an optional
// condition: HAProxy's `ACTION if COND`), or the rule is an if statement with
// Then and Else blocks (VCL's form). A nil Cond is always true.
type Rule struct {
	Pos    Pos
	Text   string // as written, for explain and the runtime API
	Cond   Cond
	Action Action
	Then   []Rule
	Else   []Rule
}

// Cond is a condition: one of And, Or, Not, *Test, Const.
type Cond interface{ isCond() }

// And is true when all of its terms are; an empty And is true.
type And []Cond

// Or is true when one of its terms is; an empty Or is false.
type Or []Cond

// Not negates.
type Not struct{ Cond Cond }

// Const is a condition that is known when it is read.
type Const bool

// Test matches a sample against patterns: one line of an acl.
type Test struct {
	Pos  Pos
	Name string // of the acl; "" if anonymous
	Expr *Expr
	// Method: found, bool, int, ip, bin, len, str, sub, reg, beg, end, dir, dom.
	Method     string
	IgnoreCase bool   // -i
	NoDNS      bool   // -n
	UniqueID   string // -u
	Patterns   []Pattern
	Files      []Pattern // -f
	MapFile    bool      // -M
}

// Pattern is one value to match, or the name of a file of them.
type Pattern struct {
	Pos  Pos
	Text string
}

func (And) isCond()   {}
func (Or) isCond()    {}
func (Not) isCond()   {}
func (Const) isCond() {}
func (*Test) isCond() {}

// Expr is a sample expression: a fetch and the converters applied to it.
type Expr struct {
	Pos   Pos
	Text  string
	Fetch Call
	Convs []Call
}

// Call is a fetch or converter with its arguments, unquoted.
type Call struct {
	Pos  Pos
	Name string
	Args []string
}

// Format is a log-format string, taken apart.
type Format struct {
	Pos   Pos
	Text  string
	Parts []FormatPart
}

// FormatPart is literal text, a sample expression (%[…]) or an alias (%ci).
type FormatPart struct {
	Pos                                  Pos
	Literal                              string
	Expr                                 *Expr
	Alias                                string // without the %
	Arg                                  string // of %{…} that is not a flag, e.g. the name of a header
	Quote, Escape, HTTPEncode, Mandatory bool   // flags Q, E, X(hex) …
	Hex                                  bool
}

// IsLiteral says whether the format is plain text, and which.
func (f *Format) IsLiteral() (string, bool) {
	if f == nil {
		return "", false
	}
	s := ""
	for _, p := range f.Parts {
		if p.Expr != nil || p.Alias != "" {
			return "", false
		}
		s += p.Literal
	}
	return s, true
}

// Literal makes a format of plain text.
func Literal(pos Pos, s string) *Format {
	return &Format{Pos: pos, Text: s, Parts: []FormatPart{{Pos: pos, Literal: s}}}
}

// Action is what a rule does: one of the Action… types.
type Action interface{ isAction() }

// Reply is a response that a rule or an error makes.
type Reply struct {
	Pos               Pos
	Status            int // 0: the action's default
	ContentType       string
	Headers           []HeaderFormat
	Body              *Format // nil: none
	BodyBytes         []byte  // `file`: taken as it is
	Raw               []byte  // errorfile: a whole message
	ErrorFiles        string  // name of an http-errors section
	DefaultErrorFiles bool
}

// Header edits.
type (
	// ActionSetHeader replaces all headers of a name; ActionAddHeader adds one.
	ActionSetHeader struct{ Name, Value *Format }
	ActionAddHeader struct{ Name, Value *Format }
	// ActionDelHeader deletes by name; Match is "", str, beg, end, sub, reg.
	ActionDelHeader struct{ Name, Match string }
	// ActionReplaceHeader rewrites whole header lines, ActionReplaceValue each
	// comma-separated value.
	ActionReplaceHeader struct {
		Name, Regex string
		IgnoreCase  bool
		Value       *Format
	}
	ActionReplaceValue struct {
		Name, Regex string
		Value       *Format
	}
	// ActionLegacyReplace applies a regex to whole header lines, request line
	// included, as reqrep, reqirep, rsprep did: Replacement uses \N.
	ActionLegacyReplace struct {
		Regex, Replacement string
		IgnoreCase         bool
	}
	// ActionLegacyDelete deletes header lines that a regex matches (reqdel).
	ActionLegacyDelete struct {
		Regex      string
		IgnoreCase bool
	}
	// ActionLegacyVerdict ends or denies by a regex on any line (reqdeny,
	// reqallow, reqpass, reqtarpit, rspdeny); Verdict is deny, allow, pass, tarpit.
	ActionLegacyVerdict struct {
		Regex, Verdict string
		IgnoreCase     bool
	}
)

// Start-line edits.
type (
	ActionSetMethod struct{ Value *Format }
	ActionSetPath   struct{ Value *Format }
	// ActionSetPathQ sets path and query.
	ActionSetPathQ struct{ Value *Format }
	ActionSetQuery struct{ Value *Format }
	ActionSetURI   struct{ Value *Format }
	// ActionReplacePart rewrites a part by a regex: path, pathq or uri.
	ActionReplacePart struct {
		Part, Regex string
		Value       *Format
	}
	ActionSetStatus struct {
		Status int
		Reason string
	}
	ActionNormalizeURI struct {
		Normalizer string
		Strict     bool
	}
)

// Verdicts.
type (
	ActionAllow  struct{}
	ActionDeny   struct{ Reply *Reply } // nil: 403 (request), 502 (response)
	ActionTarpit struct{ Reply *Reply }
	ActionReturn struct{ Reply *Reply }
	ActionAuth   struct{ Realm string }
	// ActionRedirect is http-request redirect, http-response redirect and the
	// redirect line. Type is location, prefix or scheme.
	ActionRedirect struct {
		Type                   string
		Target                 *Format
		Code                   int // 302 by default
		DropQuery              bool
		AppendSlash            bool
		IgnoreEmpty            bool
		SetCookie, ClearCookie string
	}
	ActionAccept     struct{}
	ActionReject     struct{}
	ActionClose      struct{} // tcp-response content close
	ActionSilentDrop struct{}
)

// State and environment.
type (
	// ActionSetVar stores a sample or a formatted string. Scope is proc, sess,
	// txn, req, res or check. OnlyIf lists conditions (ifexists, ifnotset …).
	ActionSetVar struct {
		Scope, Name string
		Expr        *Expr
		Format      *Format
		OnlyIf      []string
	}
	ActionUnsetVar          struct{ Scope, Name string }
	ActionSetLogLevel       struct{ Level string } // silent, emerg … debug
	ActionSetSrc            struct{ Expr *Expr }
	ActionSetSrcPort        struct{ Expr *Expr }
	ActionSetDst            struct{ Expr *Expr }
	ActionSetDstPort        struct{ Expr *Expr }
	ActionSetMark           struct{ Mark uint32 }
	ActionSetTOS            struct{ TOS int }
	ActionSetNice           struct{ Nice int }
	ActionSetPriorityClass  struct{ Expr *Expr }
	ActionSetPriorityOffset struct{ Expr *Expr }
	// ActionSetTimeout changes the server or tunnel timeout of this stream.
	ActionSetTimeout struct {
		Which string // server, tunnel, client
		Value time.Duration
		Expr  *Expr // milliseconds
	}
	// ActionCapture stores a sample into a capture slot. ID is the slot; for
	// `len N` the dialect declares a slot and sets its ID.
	ActionCapture struct {
		Expr     *Expr
		ID       int
		Response bool
	}
	ActionWaitForBody struct {
		Time    time.Duration
		AtLeast int
	}
	ActionWaitForHandshake struct{}
	ActionExpectProxy      struct{ Layer int } // 4
	ActionStrictMode       struct{ On bool }
	ActionDisableL7Retry   struct{}
	ActionEarlyHint        struct{ Name, Value *Format }
	// ActionPattern edits a pattern file or map: add-acl, del-acl, set-map, del-map.
	ActionPattern struct {
		Op, File   string
		Key, Value *Format
	}
	ActionDoNothing struct{ Why string }
)

func (ActionSetHeader) isAction()         {}
func (ActionAddHeader) isAction()         {}
func (ActionDelHeader) isAction()         {}
func (ActionReplaceHeader) isAction()     {}
func (ActionReplaceValue) isAction()      {}
func (ActionLegacyReplace) isAction()     {}
func (ActionLegacyDelete) isAction()      {}
func (ActionLegacyVerdict) isAction()     {}
func (ActionSetMethod) isAction()         {}
func (ActionSetPath) isAction()           {}
func (ActionSetPathQ) isAction()          {}
func (ActionSetQuery) isAction()          {}
func (ActionSetURI) isAction()            {}
func (ActionReplacePart) isAction()       {}
func (ActionSetStatus) isAction()         {}
func (ActionNormalizeURI) isAction()      {}
func (ActionAllow) isAction()             {}
func (ActionDeny) isAction()              {}
func (ActionTarpit) isAction()            {}
func (ActionReturn) isAction()            {}
func (ActionAuth) isAction()              {}
func (ActionRedirect) isAction()          {}
func (ActionAccept) isAction()            {}
func (ActionReject) isAction()            {}
func (ActionClose) isAction()             {}
func (ActionSilentDrop) isAction()        {}
func (ActionSetVar) isAction()            {}
func (ActionUnsetVar) isAction()          {}
func (ActionSetLogLevel) isAction()       {}
func (ActionSetSrc) isAction()            {}
func (ActionSetSrcPort) isAction()        {}
func (ActionSetDst) isAction()            {}
func (ActionSetDstPort) isAction()        {}
func (ActionSetMark) isAction()           {}
func (ActionSetTOS) isAction()            {}
func (ActionSetNice) isAction()           {}
func (ActionSetPriorityClass) isAction()  {}
func (ActionSetPriorityOffset) isAction() {}
func (ActionSetTimeout) isAction()        {}
func (ActionCapture) isAction()           {}
func (ActionWaitForBody) isAction()       {}
func (ActionWaitForHandshake) isAction()  {}
func (ActionExpectProxy) isAction()       {}
func (ActionStrictMode) isAction()        {}
func (ActionDisableL7Retry) isAction()    {}
func (ActionEarlyHint) isAction()         {}
func (ActionPattern) isAction()           {}
func (ActionDoNothing) isAction()         {}
