package rule

import "testing"

func TestTables(t *testing.T) { t.Log(len(Fetches()), len(ACLKeywords()), len(Matches())) }
