package track

// The bounds of what trackers may do to a priority.
const (
	maxEffect = 253
	minEffect = -253
)

// Effect is what a script, process, interface or BFD session does to the
// priority of who tracks it: an amount to add, or a fault. Without a weight
// being down is a fault; reverse turns good and bad around. A pending thing
// does nothing.
func Effect(weight int, reverse bool, s State) (delta int, fault bool) {
	if s == Pending {
		return 0, false
	}
	up := s == Up
	if weight == 0 {
		return 0, up == reverse
	}
	if reverse {
		// A weight that was added when up is taken away when up, and one that
		// was taken away when down is added when down.
		weight = -weight
		if up == (weight < 0) {
			return clampEffect(weight), false
		}
		return 0, false
	}
	if up == (weight > 0) {
		return clampEffect(weight), false
	}
	return 0, false
}

// FileEffect is the same for the number in a tracked file: without a weight
// anything but 0 is a fault; otherwise number times weight is added, and a
// fault when that is below -253.
func FileEffect(weight int, reverse bool, value int64) (delta int, fault bool) {
	if weight == 0 {
		return 0, (value != 0) != reverse
	}
	if reverse {
		weight = -weight
	}
	// Both factors fit 32 bits, so the product fits.
	n := value * int64(weight)
	if n < minEffect {
		return 0, true
	}
	return clampEffect(int(min(n, maxEffect))), false
}

func clampEffect(n int) int { return max(minEffect, min(maxEffect, n)) }
