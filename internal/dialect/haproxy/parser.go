package haproxy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"evenkeel/internal/dialect"
	"evenkeel/internal/model"
)

// File, Options and Keyword are those of all dialects.
type (
	File    = dialect.File
	Options = dialect.Options
	Keyword = dialect.Keyword
)

// Dialect is HAProxy's language, for the registry.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Name: "haproxy", Recognises: recognises, Parse: Parse, Keywords: Keywords}
}

// recognises: the first line that is no comment opens a section, or is a
// conditional block.
func recognises(f File) bool {
	for line := range bytes.Lines(f.Data) {
		words, err := lexLine(string(line), model.Pos{}, func(string) (string, bool) { return "", true })
		if err == nil && len(words) == 0 {
			continue
		}
		return err == nil && (findSection(words[0].Text) != nil || slices.Contains([]string{".if", ".notice", ".diag"}, words[0].Text))
	}
	return strings.HasSuffix(f.Name, "haproxy.cfg")
}

// namedACL collects the `acl` lines of one name.
type namedACL struct {
	Pos   model.Pos
	Tests []*model.Test
	Used  bool
	// uses are the conditions that name it.
	uses []aclUse
}

// proxyState is what is known of the proxy being read beyond the model. It
// starts afresh with every proxy, as a copy of that of its defaults.
type proxyState struct {
	ruleState
	acls map[string]*namedACL
	// defaultServer is the template that default-server lines fill.
	defaultServer *serverDraft
	check         checkState
}

// parser holds the state of reading: the configuration being built and the
// section that lines go to.
type parser struct {
	cfg   *model.Config
	opt   Options
	diags model.Diagnostics

	file string
	line int
	text string // the current line as written
	env  *environment

	section     section
	sectionName string // name, or kind of a section that has none
	proxy       *model.Proxy
	state       *proxyState
	userlist    *model.Userlist
	httpErrors  *model.HTTPErrors

	defaults []*defaultsSection
	current  *defaultsSection // the one that nameless proxies inherit from

	// negated and defaulted are set while the line of a `no …` or
	// `default …` is read.
	negated, defaulted bool

	defaultPath string // of default-path: "" as current
	origin      string // directory of default-path origin
	unix        unixDefaults

	given  map[string]model.Pos // keywords of which the first counts
	warned map[string]bool      // warnings that are given once
	conds  condStack
}

// defaultsSection is a `defaults` section: a proxy that only serves as a
// template.
type defaultsSection struct {
	name  string
	pos   model.Pos
	proxy *model.Proxy
	state *proxyState
	// referenced by a `from`, which makes its name unique.
	referenced bool
}

// Parse reads the files in order into one configuration. The configuration
// is complete only if the diagnostics hold no error.
func Parse(files []File, opt Options) (*model.Config, model.Diagnostics) {
	p := newParser(opt.WithDefaults())
	p.setStartVariables(files)
	for _, f := range files {
		p.cfg.Files = append(p.cfg.Files, f.Name)
		p.readFile(f)
	}
	p.finish()
	return p.cfg, p.diags
}

func newParser(opt Options) *parser {
	return &parser{
		cfg:    &model.Config{},
		opt:    opt,
		env:    newEnvironment(opt.Env),
		warned: map[string]bool{},
		given:  map[string]model.Pos{},
	}
}

// errorf adds an error. cure says what would be right; it may be empty.
func (p *parser) errorf(pos model.Pos, cure, format string, args ...any) {
	p.diags = append(p.diags, model.Diagnostic{
		Pos: pos, Severity: model.Error, Message: strings.TrimSuffix(fmt.Sprintf(format, args...), "."), Cure: cure,
	})
}

// warnf adds a warning.
func (p *parser) warnf(pos model.Pos, cure, format string, args ...any) {
	p.diags = append(p.diags, model.Diagnostic{
		Pos: pos, Severity: model.Warning, Message: fmt.Sprintf(format, args...), Cure: cure,
	})
}

// inDefaults says whether the current proxy is the template of a defaults
// section.
func (p *parser) inDefaults() bool { return p.section == secDefaults }

// report adds an error that a reader of a part of a line returned.
func (p *parser) report(pos model.Pos, err error) {
	var d model.Diagnostic
	if errors.As(err, &d) {
		if d.Pos.IsZero() {
			d.Pos = pos
		}
		d.Severity = max(d.Severity, model.Error)
		p.diags = append(p.diags, d)
		return
	}
	p.errorf(pos, "", "%v", err)
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
