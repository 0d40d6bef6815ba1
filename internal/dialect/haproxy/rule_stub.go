package haproxy

import "evenkeel/internal/model"

// formatContext says where a format will be evaluated.
type formatContext uint8

const (
	formatLog formatContext = iota
	formatRequest
	formatResponse
	formatCheck
)

var ruleKeywords []*keyword

func parseExpr(p *parser, words []word) (*model.Expr, []word, error) { return nil, nil, nil }

func parseCond(p *parser, words []word) (model.Cond, error) { return nil, nil }

func parseACL(p *parser, words []word) {}

func parseFormat(p *parser, w word, ctx formatContext) (*model.Format, error) {
	return model.Literal(w.Pos, w.Text), nil
}
