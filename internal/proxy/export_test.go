package proxy

import "syscall"

func sysSetNonblock(fd int) error { return syscall.SetNonblock(fd, true) }
