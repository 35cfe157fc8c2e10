package plain

import (
	"net"

	"golang.org/x/sys/unix"
)

// steer sets scope and way out of what is sent to the group.
func steer(conn *net.UDPConn, c GroupConfig, ifi *net.Interface) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	index, loop := 0, 0
	if ifi != nil {
		index = ifi.Index
	}
	if c.Loop {
		loop = 1
	}
	set := steer4
	if c.Group.Addr().Is6() {
		set = steer6
	}
	if cerr := raw.Control(func(fd uintptr) { err = set(int(fd), index, max(1, c.TTL), loop) }); cerr != nil {
		return cerr
	}
	return err
}

func steer4(fd, index, ttl, loop int) error {
	if index != 0 {
		if err := unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)}); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, loop); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl)
}

func steer6(fd, index, hops, loop int) error {
	if index != 0 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index); err != nil {
			return err
		}
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, loop); err != nil {
		return err
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, hops)
}
