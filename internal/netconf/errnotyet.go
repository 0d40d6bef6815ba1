package netconf

import "errors"

var errNotYet = errors.New("netconf: not built yet")
