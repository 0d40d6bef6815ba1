package holder

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"evenkeel/internal/keeper/ipc"
	"evenkeel/internal/keeper/lease"
	"evenkeel/internal/keeper/worker"
)

// FDVariable names the environment variable with the number of the first
// descriptor that leads to the keeper: a socket, then those of the lease page.
const FDVariable = "EVENKEEL_FAILOVER_FD"

// TextVariable names the one with the number of a blob: the files that the
// process before this one ran with. A process that died is built again from
// them, whatever has been written to the disk since.
const TextVariable = "EVENKEEL_FAILOVER_TEXT"

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
	OpServes Op = "serves" // after OpStart; Error says why not; carries a blob as OpText
	OpText   Op = "text"   // after OpApply; carries a blob: the files that are in force
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

// Link is what leads a failover process to its keeper.
type Link struct {
	Conn  *ipc.Conn
	Page  *lease.Page
	Files *worker.Files // what the first configuration is read from
}

// Connect reaches the keeper that started this process. The variables are
// removed, so that scripts do not inherit them.
func Connect() (*Link, error) {
	first, err := strconv.Atoi(os.Getenv(FDVariable))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FDVariable, err)
	}
	os.Unsetenv(FDVariable)
	l := &Link{Files: worker.NewFiles()}
	if text := os.Getenv(TextVariable); text != "" {
		os.Unsetenv(TextVariable)
		if l.Files, err = filesFrom(text); err != nil {
			return nil, fmt.Errorf("the last good configuration: %w", err)
		}
	}
	var fds [lease.Descriptors]int
	for i := range fds {
		fds[i] = first + 1 + i
	}
	closeOnExec(first)
	for _, fd := range fds {
		closeOnExec(fd)
	}
	if l.Conn, err = ipc.FromFD(first); err != nil {
		return nil, err
	}
	if l.Page, err = lease.Inherit(fds); err != nil {
		l.Conn.Close()
		return nil, err
	}
	return l, nil
}

func filesFrom(number string) (*worker.Files, error) {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	closeOnExec(fd)
	blob, err := ipc.ReadBlob(fd)
	if err != nil {
		return nil, err
	}
	return worker.FilesFrom(blob)
}
