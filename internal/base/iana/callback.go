package iana

import (
	"errors"
	"net/netip"
	"net/url"
)

// CheckCallback says why this server must not call a URL that somebody
// configured: not https, or of a special range. Loopback is for trying out.
func CheckCallback(s string, loopback bool) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return errors.New("not a URL like https://example.org/hook")
	case u.User != nil:
		return errors.New("must hold no user name; events are signed instead")
	case u.Scheme == "https":
	case u.Scheme == "http" && loopback && local(u.Hostname()):
	default:
		return errors.New("must be https")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil && !Callable(a, loopback) {
		return errors.New("is of a special address range")
	}
	return nil
}

func local(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Callable reports whether this server may connect to an address it was told.
func Callable(a netip.Addr, loopback bool) bool {
	return !Special(a) || loopback && a.Unmap().IsLoopback()
}
