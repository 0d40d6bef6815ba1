// Bench runs evenkeel beside Debian's HAProxy, in front of the same nginx,
// turn by turn in one run, and says what a request costs each of them.
//
//	go run ./bench -only keepalive-1k -rounds 5 -seconds 2
//
// The figure to trust is CPU time a request: user and system time of the
// proxy's processes, as the kernel accounts for it, over the requests that
// the load tool counted. Requests per second and latency are printed too, and
// say more about how busy the machine was.
//
// As root it also compares ways of forwarding packets, in network namespaces of
// its own (-only forward).
//
// Every program that is started here is ended here, by its process id, also
// on Ctrl-C. Everything listens on 127.0.0.1, ports 24000 to 24999.
package main
