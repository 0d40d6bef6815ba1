package lab

import "syscall"

// apart puts a process in a session of its own: Ctrl-C is for the lab, which
// then ends its processes in order.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
