package haproxy

import (
	"strconv"

	"evenkeel/internal/model"
)

var uriActions = []actionEntry{
	{Name: "set-method", Args: "FORMAT", Sets: setHTTPRequest, Help: "replaces the method",
		Parse: setPart(func(f *model.Format) model.Action { return model.ActionSetMethod{Value: f} })},
	{Name: "set-path", Args: "FORMAT", Sets: setHTTPRequest, Help: "replaces the path and keeps the query string",
		Parse: setPart(func(f *model.Format) model.Action { return model.ActionSetPath{Value: f} })},
	{Name: "set-pathq", Args: "FORMAT", Sets: setHTTPRequest, Help: "replaces the path and the query string",
		Parse: setPart(func(f *model.Format) model.Action { return model.ActionSetPathQ{Value: f} })},
	{Name: "set-query", Args: "FORMAT", Sets: setHTTPRequest, Help: "replaces the query string",
		Parse: setPart(func(f *model.Format) model.Action { return model.ActionSetQuery{Value: f} })},
	{Name: "set-uri", Args: "FORMAT", Sets: setHTTPRequest, Help: "replaces scheme, authority, path and query string",
		Parse: setPart(func(f *model.Format) model.Action { return model.ActionSetURI{Value: f} })},
	{Name: "replace-path", Args: "REGEX FORMAT", Sets: setHTTPRequest, Help: "rewrites the path by a regex", Parse: replacePart("path")},
	{Name: "replace-pathq", Args: "REGEX FORMAT", Sets: setHTTPRequest, Help: "rewrites path and query string by a regex", Parse: replacePart("pathq")},
	{Name: "replace-uri", Args: "REGEX FORMAT", Sets: setHTTPRequest, Help: "rewrites the URI by a regex", Parse: replacePart("uri")},
	{Name: "normalize-uri", Args: "NORMALIZER [full|strict]", Sets: setHTTPRequest, Help: "brings the URI into a normal form", Parse: parseNormalizeURI},
}

func setPart(action func(*model.Format) model.Action) func(a *actionArgs) (model.Action, error) {
	return func(a *actionArgs) (model.Action, error) {
		f, err := a.format()
		if err != nil {
			return nil, err
		}
		return action(f), nil
	}
}

func replacePart(part string) func(a *actionArgs) (model.Action, error) {
	return func(a *actionArgs) (model.Action, error) {
		w, err := a.need(2)
		if err != nil {
			return nil, err
		}
		value, err := a.formatOf(w[1])
		return model.ActionReplacePart{Part: part, Regex: w[0].Text, Value: value}, err
	}
}

// normalizers, and the word that makes each of them stricter.
var normalizers = map[string]string{
	"fragment-encode": "", "fragment-strip": "", "path-merge-slashes": "", "path-strip-dot": "", "path-strip-dotdot": "full",
	"percent-decode-unreserved": "strict", "percent-to-uppercase": "strict", "query-sort-by-name": "",
}

func parseNormalizeURI(a *actionArgs) (model.Action, error) {
	w, err := a.need(1)
	if err != nil {
		return nil, err
	}
	var names []string
	for n := range normalizers {
		names = append(names, n)
	}
	if err := oneOf(w[0], "the normalizer", sorted(names)...); err != nil {
		return nil, err
	}
	n := model.ActionNormalizeURI{Normalizer: w[0].Text}
	if option := normalizers[w[0].Text]; option != "" {
		n.Strict = a.take(option)
	}
	return n, nil
}

// wholeNumber reads a decimal number between two bounds.
func wholeNumber(w word, lo, hi int, what string) (int, error) {
	n, err := strconv.Atoi(w.Text)
	if err != nil || n < lo || n > hi {
		return 0, wrong(w.Pos, numberRange(lo, hi), "expects %s between %d and %d, got '%s'", what, lo, hi, w.Text)
	}
	return n, nil
}
