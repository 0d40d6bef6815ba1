package lease

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Descriptors is how many descriptors a page consists of, in the order of
// Files: memory, watchdog of the failover process, worker event, watchdog of
// the keeper.
const Descriptors = 4

// Sizes of the memory file. It is sparse: only what was written takes room.
const (
	headerSize = 4096
	slotSize   = 8 << 20 // half of an area
	areaSize   = 2 * slotSize
	pageSize   = headerSize + 3*areaSize
	slotHead   = 12 // length, checksum
)

// ErrTooLarge says that a will or state does not fit.
var ErrTooLarge = errors.New("larger than the shared page's 8 MiB")

// header is the start of the memory file. Each field has one writer.
type header struct {
	magic  uint64
	worker atomic.Uint64 // by the keeper: state, and since when in ns << 8
	will   atomic.Uint64 // by the failover process: sequence << 1 | half
	state  atomic.Uint64
	beat   atomic.Int64 // by the failover process: when it last beat
	down   atomic.Uint64
}

const magic = 0x6576656e6b65656c

// Page is the shared memory with its watchdogs. The keeper makes it and gives
// it to every failover process that it starts.
type Page struct {
	memory []byte // set once, like the descriptors
	fd     int
	guard  int // timerfd: armed by the failover process, read by the keeper
	event  int // eventfd: the worker's state has changed
	keeper int // timerfd: armed by the keeper, read by the failover process

	guardUntil  time.Duration // by the failover process's one caller of Beat
	keeperUntil time.Duration // by the keeper
}

// New makes a page.
func New() (*Page, error) {
	fds := make([]int, 0, Descriptors)
	fail := func(what string, err error) (*Page, error) {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return nil, fmt.Errorf("lease: %s: %w", what, err)
	}
	fd, err := unix.MemfdCreate("evenkeel-lease", unix.MFD_CLOEXEC)
	if err != nil {
		return fail("memfd_create", err)
	}
	fds = append(fds, fd)
	if err := unix.Ftruncate(fd, pageSize); err != nil {
		return fail("size of the page", err)
	}
	for i := 1; i < Descriptors; i++ {
		if i == 2 {
			fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		} else {
			fd, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
		}
		if err != nil {
			return fail("watchdog", err)
		}
		fds = append(fds, fd)
	}
	p, err := Inherit([Descriptors]int(fds))
	if err != nil {
		return fail("page", err)
	}
	p.head().magic = magic
	return p, nil
}

// Inherit uses the descriptors of a page that another process made. It owns
// them from now on.
func Inherit(fds [Descriptors]int) (*Page, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fds[0], &st); err != nil {
		return nil, fmt.Errorf("lease: page: %w", err)
	}
	if st.Size != pageSize {
		return nil, fmt.Errorf("lease: the page has %d bytes, not %d: keeper and failover process are of different versions", st.Size, pageSize)
	}
	m, err := unix.Mmap(fds[0], 0, pageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("lease: map: %w", err)
	}
	return &Page{memory: m, fd: fds[0], guard: fds[1], event: fds[2], keeper: fds[3]}, nil
}

// Files are the descriptors for a child process, still owned by the page.
func (p *Page) Files() [Descriptors]int { return [Descriptors]int{p.fd, p.guard, p.event, p.keeper} }

// Close gives everything back.
func (p *Page) Close() error {
	err := unix.Munmap(p.memory)
	p.memory = nil
	for _, fd := range p.Files() {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}

func (p *Page) head() *header { return (*header)(unsafe.Pointer(unsafe.SliceData(p.memory))) }

// Now is CLOCK_MONOTONIC, the clock that both processes share.
func Now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

// write puts data into the half of an area that is not in use, and then makes
// it the one in use: a writer that dies on the way leaves the former content.
func (p *Page) write(area int, turn *atomic.Uint64, data []byte) error {
	if len(data) > slotSize-slotHead {
		return ErrTooLarge
	}
	next := turn.Load()>>1 + 1
	half := int(next & 1)
	slot := p.memory[headerSize+area*areaSize+half*slotSize:][:slotSize]
	binary.LittleEndian.PutUint64(slot, uint64(len(data)))
	binary.LittleEndian.PutUint32(slot[8:], crc32.ChecksumIEEE(data))
	copy(slot[slotHead:], data)
	turn.Store(next<<1 | uint64(half))
	return nil
}

// read gives a copy of an area; nil when nothing valid was written.
func (p *Page) read(area int, turn *atomic.Uint64) []byte {
	t := turn.Load()
	if t == 0 {
		return nil
	}
	slot := p.memory[headerSize+area*areaSize+int(t&1)*slotSize:][:slotSize]
	n := binary.LittleEndian.Uint64(slot)
	if n > slotSize-slotHead {
		return nil
	}
	data := append([]byte(nil), slot[slotHead:slotHead+n]...)
	if crc32.ChecksumIEEE(data) != binary.LittleEndian.Uint32(slot[8:]) {
		return nil
	}
	return data
}

// WriteState keeps what a failover process that is started after this one
// resumes from. An empty state is none.
func (p *Page) WriteState(state []byte) error { return p.write(1, &p.head().state, state) }

// ReadState is the state that was written last; nil: none.
func (p *Page) ReadState() []byte { return p.read(1, &p.head().state) }

// File gives a copy of a descriptor as a file, for package os.
func file(fd int, name string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(n), name), nil
}
