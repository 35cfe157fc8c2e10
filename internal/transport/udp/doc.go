// Package udp is one worker's UDP socket: batches in, batches out, one doorbell.
//
// It reads with recvmmsg and UDP_GRO and sends with sendmmsg and UDP_SEGMENT
// where the system has them (linux on amd64 and arm64, probed at start), and
// falls back to plain net.UDPConn calls elsewhere. It knows nothing of STUN,
// DTLS or RTP, but that the kernel can put RTCP aside so that it wakes nobody
// ([Socket.Aside]), and takes no decision about what is sent to whom; it only
// plans how packets to one destination share a message ([PlanRuns]).
//
// Threading: Read and Send belong to one goroutine, the worker's loop. Wake,
// Stats and Close may be called from any goroutine.
package udp
