package keepalived

import (
	"fmt"
	"path/filepath"
	"strconv"
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

// Dialect is keepalived's language, for the registry.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Name: "keepalived", Recognises: recognises, Parse: Parse, Keywords: Keywords}
}

// recognises: the first line with a meaning opens one of the language's blocks,
// includes a file, or defines a parameter.
func recognises(f File) bool {
	for line := range strings.Lines(strings.TrimPrefix(string(f.Data), "\ufeff")) {
		line = strings.TrimSpace(line[:comment(line)])
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "@") {
			_, rest, _ := strings.Cut(line, " ")
			line = strings.TrimSpace(rest)
		}
		first := strings.TrimRight(firstWord(line), "{")
		if _, ok := includeKeywords[first]; ok {
			return true
		}
		if table().find(first, placeTop) != nil {
			return true
		}
		if strings.HasPrefix(line, "~SEQ") || strings.HasPrefix(line, "~LST") {
			return true
		}
		if name, _, ok := strings.Cut(line, "="); ok && len(name) > 1 && name[0] == '$' && nameLength(name[1:]) == len(name)-1 {
			return true
		}
		break
	}
	return filepath.Base(f.Name) == "keepalived.conf"
}

// maxMessages bounds what one file can have said about it.
const maxMessages = 500

// parser holds the state of reading: the configuration being built, and the
// block that statements go to.
type parser struct {
	cfg   *model.Config
	f     *model.Failover
	opt   Options
	diags model.Diagnostics
	lost  int // messages beyond maxMessages

	source *source
	global globalDraft

	instance *instanceDraft
	group    *model.SyncGroup
	script   *model.TrackScript
	process  *model.TrackProcess
	file     *model.TrackFile
	bfd      *model.BFDInstance
	garp     *model.GARPGroup
	tracks   *model.TrackGroup
	webhook  *model.Webhook
	lvs      serverState

	instances []*instanceDraft
	drafts    map[*model.RealCheck]*checkDraft
	warned    map[string]bool
}

// Parse reads the files in order into one configuration. The configuration is
// complete only if the diagnostics hold no error.
func Parse(files []File, opt Options) (*model.Config, model.Diagnostics) {
	opt = opt.WithDefaults()
	p := &parser{
		cfg: &model.Config{}, f: newFailover(), opt: opt, warned: map[string]bool{},
	}
	p.cfg.Failover = p.f
	t := newTree(p)
	p.source = newSource(p, t)
	for _, f := range files {
		p.cfg.Files = append(p.cfg.Files, f.Name)
		if p.f.Pos.IsZero() {
			p.f.Pos = model.Pos{File: f.Name, Line: 1, Col: 1}
		}
		p.source.readFile(f.Name, string(f.Data))
	}
	t.finish()
	p.dispatch(t.root.body, placeTop)
	p.complete()
	if p.lost > 0 {
		p.diags.Errorf(model.Pos{}, "%d further messages are left out", p.lost)
	}
	return p.cfg, p.diags
}

func (p *parser) addFile(name string) {
	for _, f := range p.cfg.Files {
		if f == name {
			return
		}
	}
	p.cfg.Files = append(p.cfg.Files, name)
}

// configID is what @ lines are compared with.
func (p *parser) configID() string { return p.opt.ConfigID }

func (p *parser) report(severity model.Severity, pos model.Pos, cure, format string, args []any) {
	if len(p.diags) >= maxMessages {
		p.lost++
		return
	}
	p.diags = append(p.diags, model.Diagnostic{Pos: pos, Severity: severity, Message: fmt.Sprintf(format, args...), Cure: cure})
}

// errorf adds an error. cure says what would be right; it may be empty.
func (p *parser) errorf(pos model.Pos, cure, format string, args ...any) {
	p.report(model.Error, pos, cure, format, args)
}

// warnf adds a warning.
func (p *parser) warnf(pos model.Pos, cure, format string, args ...any) {
	p.report(model.Warning, pos, cure, format, args)
}

// noticef adds what is worth knowing and no fault.
func (p *parser) noticef(pos model.Pos, cure, format string, args ...any) {
	p.report(model.Notice, pos, cure, format, args)
}

// once warns the first time only.
func (p *parser) once(key string, pos model.Pos, cure, format string, args ...any) {
	if !p.warned[key] {
		p.warned[key] = true
		p.warnf(pos, cure, format, args...)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
