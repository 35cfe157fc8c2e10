// Command floor measures what sending alone costs on this machine: the floor
// under the server's forwarding benchmark, so that its result is a ratio.
//
// It starts itself a second time as the receiver (-recv: sockets that only
// drain), then sends rounds of one flush per receiver in turn, first one
// datagram a call (sendto), then one GSO message a flush, and prints CPU time
// (user and system, by getrusage) per datagram as JSON. All system calls are
// raw ones on non-blocking descriptors; nothing is encrypted or rewritten.
//
//	floor -receivers 100 -sizes 1100,1100,1100,1101,1101,1101 -cpu 0 -recv-cpu 1
//
// Without -interval it sends without pause: everything is hot and the receiver
// never sleeps. With -interval the same flushes leave at a server's pace, so
// that caches are cold and the receiver has to be woken, at the sender's cost.
//
// On loopback the sender also pays the kernel's receive path. It is not a part
// of the server and is not installed with it.
package main
