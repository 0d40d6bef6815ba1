package ipc

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"
)

// maxBlob bounds what one process makes another read.
const maxBlob = 256 << 20

const mfdCloexec = 1

// NewBlob puts data into a memory file, which the caller closes.
func NewBlob(data []byte) (fd int, err error) {
	name := []byte("evenkeel\x00")
	r, _, e := syscall.Syscall(sysMemfdCreate, uintptr(unsafe.Pointer(&name[0])), mfdCloexec, 0)
	if e != 0 {
		return -1, fmt.Errorf("memfd_create: %w", e)
	}
	f := os.NewFile(r, "blob")
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return -1, err
	}
	n, _, e := syscall.Syscall(syscall.SYS_FCNTL, r, syscall.F_DUPFD_CLOEXEC, 3)
	if e != 0 {
		return -1, e
	}
	return int(n), nil
}

// ReadBlob reads a memory file from its beginning and closes it.
func ReadBlob(fd int) ([]byte, error) {
	f := os.NewFile(uintptr(fd), "blob")
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxBlob {
		return nil, fmt.Errorf("a blob of %d bytes, mode %v, is not taken", st.Size(), st.Mode())
	}
	data := make([]byte, st.Size())
	_, err = io.ReadFull(io.NewSectionReader(f, 0, st.Size()), data)
	return data, err
}
