package rule

import (
	"os"
	"strings"
	"testing"

	"evenkeel/internal/model"
)

// testdata/expressions.txt was written by HAProxy 2.6, which printed each
// expression as "[%[expression]]" on sampleRequest.
func TestExpressionsAgreeWithHAProxy(t *testing.T) {
	// Deliberate differences: later versions read addresses in brackets.
	newer := map[string]string{"req.hdr_ip(x-ip6)": "2001:db8::1"}
	data, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		text, want, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		want = strings.TrimSuffix(strings.TrimPrefix(want, "["), "]")
		if w, ok := newer[text]; ok {
			want = w
		}
		t.Run(text, func(t *testing.T) {
			c := newTestCompiler(t)
			tx := newTx()
			x, _ := c.variable("txn.abc")
			x.set(tx, Str([]byte("abc")))
			f := c.Format(&model.Format{Parts: []model.FormatPart{{Expr: parseExpr(text)}}}, PhaseHTTPRequest)
			noDiagnostics(t, c)
			if got := string(f.Append(nil, tx)); got != want {
				t.Errorf("got %q, HAProxy gives %q", got, want)
			}
		})
	}
}
