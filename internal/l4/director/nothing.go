package director

// Nothing is the client of a director that forwards nothing: listings are
// empty, and what is to be changed is not there.
func Nothing() *Client {
	s := New(Options{})
	s.running, s.plan = true, &plan{}
	return &Client{Ask: func(line string) (string, error) { return s.Control(line), nil }}
}
