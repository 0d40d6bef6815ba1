package ipvs

import (
	"testing"

	"evenkeel/internal/l4"
	"evenkeel/internal/l4/contract"
)

func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) l4.Plane {
		p, _ := testPlane(t, Options{Clear: true})
		return p
	})
}
