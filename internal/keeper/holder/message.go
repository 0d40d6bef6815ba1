package holder

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/lease"
)

// FDVariable names the environment variable with the number of the first
// descriptor that leads to the keeper: a socket, then those of the lease page.
const FDVariable = "EVENKEEL_FAILOVER_FD"

// Op is what a message is about.
type Op string

// Messages of the keeper. Those with an ID are answered.
const (
	OpStart   Op = "start"   // begin to serve; Detach: leave the terminal first
	OpPrepare Op = "prepare" // read the configuration again; the answer's Error says why not
	OpApply   Op = "apply"   // switch to what was prepared
	OpRetire  Op = "retire"  // a new process takes over: save the state and exit, keep the addresses
	OpRelease Op = "release" // hand the addresses over, then exit
	OpControl Op = "control" // Text is a command; the answer is a blob
)

// Messages of the failover process.
const (
	OpBuilt  Op = "built"  // the configuration is good (or Error is set); waits for OpStart
	OpServes Op = "serves" // after OpStart; Error says why not
	OpAnswer Op = "answer" // to ID
	OpLog    Op = "log"    // Text, for show startup-logs
)

// Message is one packet between keeper and failover process.
type Message struct {
	Op     Op
	ID     int    `json:",omitempty"`
	Error  string `json:",omitempty"`
	Text   string `json:",omitempty"`
	Detach bool   `json:",omitempty"`
}

// Encode gives the packet of m.
func (m Message) Encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // strings, numbers and booleans always encode
	}
	return b
}

// Decode reads one packet.
func Decode(b []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("message of a failover process: %w", err)
	}
	return m, nil
}

// IsFailover says whether this process was started as a failover process.
func IsFailover() bool { return os.Getenv(FDVariable) != "" }

// Connect reaches the keeper that started this process. The variable is
// removed, so that scripts do not inherit it.
func Connect() (*ipc.Conn, *lease.Page, error) {
	first, err := strconv.Atoi(os.Getenv(FDVariable))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", FDVariable, err)
	}
	os.Unsetenv(FDVariable)
	var fds [lease.Descriptors]int
	for i := range fds {
		fds[i] = first + 1 + i
	}
	closeOnExec(first)
	for _, fd := range fds {
		closeOnExec(fd)
	}
	conn, err := ipc.FromFD(first)
	if err != nil {
		return nil, nil, err
	}
	page, err := lease.Inherit(fds)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, page, nil
}
