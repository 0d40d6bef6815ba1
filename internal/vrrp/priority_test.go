package vrrp

import "testing"

func TestEffective(t *testing.T) {
	script := func(weight int, up bool) Tracked {
		return Tracked{Kind: "script", Name: "chk", Weight: weight, Up: up}
	}
	reversed := func(t Tracked) Tracked { t.Reverse = true; return t }
	file := func(weight, value int) Tracked {
		return Tracked{Kind: "file", Name: "load", File: true, Weight: weight, Value: value}
	}
	tests := []struct {
		name       string
		configured uint8
		tracked    []Tracked
		effective  uint8
		why, fault string
	}{
		{"nothing", 150, nil, 150, "", ""},
		{"weightless, up", 150, []Tracked{script(0, true)}, 150, "", ""},
		{"weightless, down", 150, []Tracked{script(0, false)}, 150, "", "script chk failed"},
		{"weightless, reversed, up", 150, []Tracked{reversed(script(0, true))}, 150, "", "script chk succeeded"},
		{"weightless, reversed, down", 150, []Tracked{reversed(script(0, false))}, 150, "", ""},
		{"positive, up", 100, []Tracked{script(20, true)}, 120, "100 + 20 script chk succeeded = 120", ""},
		{"positive, down", 100, []Tracked{script(20, false)}, 100, "", ""},
		{"negative, up", 150, []Tracked{script(-60, true)}, 150, "", ""},
		{"negative, down", 150, []Tracked{script(-60, false)}, 90, "150 - 60 script chk failed = 90", ""},
		{"positive, reversed, up", 100, []Tracked{reversed(script(20, true))}, 80, "100 - 20 script chk succeeded = 80", ""},
		{"negative, reversed, down", 100, []Tracked{reversed(script(-20, false))}, 120, "100 + 20 script chk failed = 120", ""},
		{"two", 100, []Tracked{script(20, true), {Kind: "interface", Name: "eth1", Weight: -30}}, 90, "100 + 20 script chk succeeded - 30 interface eth1 is down = 90", ""},
		{"two faults and a weight", 100, []Tracked{script(0, false), {Kind: "process", Name: "nginx"}, {Kind: "bfd", Name: "b", Weight: 5, Up: true}}, 105,
			"100 + 5 bfd b is up = 105", "script chk failed, process nginx is not running"},
		{"too high", 200, []Tracked{script(100, true)}, 254, "200 + 100 script chk succeeded = 300, limited to 254", ""},
		{"too low", 50, []Tracked{script(-100, false)}, 1, "50 - 100 script chk failed = -50, limited to 1", ""},
		{"limited only at the end", 200, []Tracked{script(100, true), script(-90, false)}, 210, "200 + 100 script chk succeeded - 90 script chk failed = 210", ""},
		{"owner", 255, []Tracked{script(-100, false)}, 255, "", ""},
		{"owner in fault", 255, []Tracked{script(0, false)}, 255, "", "script chk failed"},
		{"file", 100, []Tracked{file(2, -10)}, 80, "100 - 20 file load says -10 = 80", ""},
		{"file, reversed", 100, []Tracked{reversed(file(2, -10))}, 120, "100 + 20 file load says -10 = 120", ""},
		{"file, weightless, 0", 100, []Tracked{file(0, 0)}, 100, "", ""},
		{"file, weightless, 3", 100, []Tracked{file(0, 3)}, 100, "", "file load says 3"},
		{"file, weightless, reversed, 0", 100, []Tracked{reversed(file(0, 0))}, 100, "", "file load says 0"},
		{"file, lowest", 254, []Tracked{file(1, -253)}, 1, "254 - 253 file load says -253 = 1", ""},
		{"file, below", 254, []Tracked{file(1, -254)}, 254, "", "file load says -254"},
		{"file, above", 100, []Tracked{file(1000, 1000)}, 254, "100 + 253 file load says 1000 = 353, limited to 254", ""},
		{"the proxy as a whole", 100, []Tracked{{Kind: "proxy"}}, 100, "", "proxy is down"},
		{"an unknown kind", 100, []Tracked{{Kind: "thing", Name: "x"}}, 100, "", "thing x is down"},
	}
	for _, test := range tests {
		effective, why, fault := Effective(test.configured, test.tracked)
		if effective != test.effective || why != test.why || fault != test.fault {
			t.Errorf("%s: %d, %q, %q; want %d, %q, %q", test.name, effective, why, fault, test.effective, test.why, test.fault)
		}
	}
}
