package xdp

import (
	"testing"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/contract"
)

func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) l4.Plane { return newBench(t, Options{MaxFlows: 1024}).Plane })
}
