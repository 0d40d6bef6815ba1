package xdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The orders of bpf/control.h.
const (
	orderSweep = 1 + iota
	orderInsert
	orderEnd
)

// order has the control program do what only programs can.
func order(program *ebpf.Program, c *directorCommand) error {
	var data bytes.Buffer
	if err := binary.Write(&data, binary.NativeEndian, c); err != nil {
		return err
	}
	for {
		got, err := program.Run(&ebpf.RunOptions{Data: data.Bytes()})
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("control program: %w", err)
		case got != 0:
			return fmt.Errorf("control program: order %d failed with %d", c.Order, int32(got))
		default:
			return nil
		}
	}
}

// startSweepers starts the timers that end flows, or takes those of an earlier
// program over. The kernel may have no memory at hand at first.
func startSweepers(program *ebpf.Program) error {
	var err error
	for range 100 {
		if err = order(program, &directorCommand{Order: orderSweep}); err == nil {
			return nil
		}
	}
	return fmt.Errorf("start the sweepers: %w", err)
}
