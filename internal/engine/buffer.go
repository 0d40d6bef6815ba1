package engine

import "syscall"

// Buffer is a fixed piece of memory outside the Go heap. Unread bytes are
// B[R:W]. It belongs to the loop it came from.
type Buffer struct {
	B     []byte
	R, W  int
	class uint8
	cold  bool // its pages were given back to the kernel
}

// Len is the number of unread bytes.
func (b *Buffer) Len() int { return b.W - b.R }

// Bytes is what is unread.
func (b *Buffer) Bytes() []byte { return b.B[b.R:b.W] }

// Free is the room behind the unread bytes.
func (b *Buffer) Free() []byte { return b.B[b.W:] }

// Reset drops what is unread.
func (b *Buffer) Reset() { b.R, b.W = 0, 0 }

// Compact moves the unread bytes to the start of the buffer.
func (b *Buffer) Compact() {
	if b.R == 0 {
		return
	}
	b.W = copy(b.B, b.B[b.R:b.W])
	b.R = 0
}

const (
	classNormal = iota
	classBig
	classRecords // four full TLS records, encrypted
	classCount

	bigBufferSize    = 65536
	recordBufferSize = 69632 // 4 * (16384 + 256), in whole pages
	slabSize         = 1 << 20

	// Memory that stayed unused for trimEvery goes back to the kernel, except
	// trimKeep bytes a class.
	trimEvery = 1e9
	trimKeep  = 1 << 20
)

// bufferClass is a stack of free buffers of one size. The bottom is what was
// not needed for the longest time.
type bufferClass struct {
	size int
	free []*Buffer
	low  int // fewest free ones since the last trim
	all  int
}

type bufferPool struct {
	class [classCount]bufferClass
}

func (p *bufferPool) init(size int) {
	p.class[classNormal].size = size
	p.class[classBig].size = bigBufferSize
	p.class[classRecords].size = recordBufferSize
}

func (p *bufferPool) get(class int) *Buffer {
	k := &p.class[class]
	n := len(k.free) - 1
	if n < 0 {
		k.grow(uint8(class))
		n = len(k.free) - 1
	}
	b := k.free[n]
	k.free = k.free[:n]
	if n < k.low {
		k.low = n
	}
	b.R, b.W, b.cold = 0, 0, false
	return b
}

func (p *bufferPool) put(b *Buffer) {
	k := &p.class[b.class]
	k.free = append(k.free, b)
}

// grow maps one more slab. Without memory it falls back to the heap, whose
// failure is the runtime's own fatal error.
func (k *bufferClass) grow(class uint8) {
	step := (k.size + 4095) &^ 4095
	count := max(1, slabSize/step)
	mem, err := syscall.Mmap(-1, 0, count*step, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		mem = make([]byte, count*step)
	} else {
		// Huge pages would bring back what trim gave away.
		_ = syscall.Madvise(mem, madvNoHugePage)
	}
	all := make([]Buffer, count)
	for i := range all {
		b := &all[i]
		b.B = mem[i*step : i*step+k.size : i*step+k.size]
		b.class = class
		b.cold = true
		k.free = append(k.free, b)
	}
	k.all += count
}

// trim gives the pages of buffers that nobody needed since the last call back
// to the kernel, keeping the addresses. It says whether it should be called
// again.
func (p *bufferPool) trim() (again bool) {
	for i := range p.class {
		k := &p.class[i]
		keep := trimKeep / k.size
		for _, b := range k.free[:max(0, k.low-keep)] {
			if !b.cold {
				b.cold = true
				_ = syscall.Madvise(b.B[:cap(b.B)&^4095], syscall.MADV_DONTNEED)
			}
		}
		k.low = len(k.free)
		for _, b := range k.free[:max(0, len(k.free)-keep)] {
			if !b.cold {
				again = true
				break
			}
		}
	}
	return again
}

// GetBuffer gives an empty buffer of Options.BufSize bytes.
func (l *Loop) GetBuffer() *Buffer { return l.buffers.get(classNormal) }

// GetBigBuffer gives an empty buffer of 64 KiB.
func (l *Loop) GetBigBuffer() *Buffer { return l.buffers.get(classBig) }

// PutBuffer takes a buffer of this loop back; nil is allowed.
func (l *Loop) PutBuffer(b *Buffer) {
	if b == nil {
		return
	}
	l.buffers.put(b)
	if !l.trimTimer.Armed() && len(l.buffers.class[b.class].free)*len(b.B) > 2*trimKeep {
		l.Arm(&l.trimTimer, (*trimmer)(l), l.now+trimEvery)
	}
}

// trimmer is the loop as the owner of its trim timer.
type trimmer Loop

func (r *trimmer) OnTimer(t *Timer) {
	l := (*Loop)(r)
	if l.buffers.trim() {
		l.Arm(t, r, l.now+trimEvery)
	}
}
