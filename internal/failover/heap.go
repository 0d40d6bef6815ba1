package failover

import (
	"container/heap"
	"time"

	"evenkeel/internal/failover/loop"
)

// deadlines are the instances by when they are due.
type deadlines struct{ all byDue }

type byDue []*instance

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(a, b int) bool { return h[a].due < h[b].due }
func (h byDue) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].place, h[b].place = a, b
}

// Push implements heap.Interface.
func (h *byDue) Push(x any) {
	i := x.(*instance)
	i.place = len(*h)
	*h = append(*h, i)
}

// Pop implements heap.Interface.
func (h *byDue) Pop() any {
	old := *h
	i := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	i.place = -1
	return i
}

func (d *deadlines) first() *instance {
	if len(d.all) == 0 {
		return nil
	}
	return d.all[0]
}

// set moves an instance to its time; loop.Never takes it out.
func (d *deadlines) set(i *instance, due time.Duration) {
	i.due = due
	switch {
	case due == loop.Never && i.place >= 0:
		heap.Remove(&d.all, i.place)
	case due == loop.Never:
	case i.place >= 0:
		heap.Fix(&d.all, i.place)
	default:
		heap.Push(&d.all, i)
	}
}
