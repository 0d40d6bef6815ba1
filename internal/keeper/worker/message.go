package worker

import (
	"encoding/json"
	"fmt"

	"evenkeel/internal/keeper/socket"
)

// FDVariable names the environment variable with the number of the
// descriptor that leads to the keeper.
const FDVariable = "EVENKEEL_WORKER_FD"

// Op is what a message is about.
type Op string

// Messages of a worker. Each with an ID is answered by one OpAnswer.
const (
	OpConfigure Op = "configure" // Settings
	OpListen    Op = "listen"    // Spec; the answer carries the descriptor
	OpPrevious  Op = "previous"  // the answer carries a blob, or nothing
	OpReady     Op = "ready"     // carries the blob of the configuration
	OpSave      Op = "save"      // carries a blob; no answer
	OpLog       Op = "log"       // Text; no answer
	OpDown      Op = "down"      // carries a blob, a list of backends; no answer
)

// Messages of a keeper.
const (
	OpBoot    Op = "boot"    // Boot; carries a blob in recovery
	OpAnswer  Op = "answer"  // to either side's ID
	OpDrain   Op = "drain"   // carries a peer, or nothing
	OpStop    Op = "stop"    //
	OpLeave   Op = "leave"   //
	OpPause   Op = "pause"   //
	OpResume  Op = "resume"  //
	OpPeer    Op = "peer"    // carries a peer
	OpState   Op = "state"   // the answer carries a blob
	OpRuntime Op = "runtime" // carries a stream
)

// Message is one packet between keeper and worker.
type Message struct {
	Op        Op
	ID        int          `json:",omitempty"` // chosen by who asks
	Error     string       `json:",omitempty"`
	Elsewhere bool         `json:",omitempty"` // ErrElsewhere
	Detach    bool         `json:",omitempty"` // answer to ready: leave the terminal
	Text      string       `json:",omitempty"`
	Boot      *Boot        `json:",omitempty"`
	Settings  *Settings    `json:",omitempty"`
	Spec      *socket.Spec `json:",omitempty"`
}

// Encode gives the packet of m.
func (m Message) Encode() []byte {
	b, _ := json.Marshal(m) // plain fields cannot fail
	return b
}

// Decode reads one packet.
func Decode(b []byte) (Message, error) {
	var m Message
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("a message between keeper and worker: %w", err)
	}
	return m, nil
}
