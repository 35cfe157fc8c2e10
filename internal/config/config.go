// Package config is what an operator can set: one struct whose tags are the
// single source of the flags, the PARLEY_* environment and the YAML keys, in
// that order of precedence, and of docs/configuration.md, which a test compares
// with it. It reads and judges; it starts nothing. Values are read-only after
// [Server.Validate]; nothing here is safe for concurrent change.
package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"parley/internal/base/iana"
	"parley/internal/base/ids"
)

// Server is the configuration of `parley serve`. Field order is the order of
// --help and of the reference. Keys of the YAML file are the flag names.
type Server struct {
	Config string `name:"config" env:"PARLEY_CONFIG" type:"path" placeholder:"FILE" help:"YAML file with any of the settings below, by flag name. Flags beat PARLEY_* variables beat the file." yaml:"-"`

	HTTP              Endpoint   `name:"http" env:"PARLEY_HTTP" placeholder:"ADDR:PORT" help:"Where pages, WebSocket, WHIP and WHEP are served; ICE-TCP too. Default: 127.0.0.1:8080 with --dev, :8443 otherwise."`
	UDP               Endpoint   `name:"udp" env:"PARLEY_UDP" placeholder:"ADDR:PORT" help:"First UDP port for media; worker i uses PORT+i. Default: port 7800, with --dev on one host address, otherwise on all."`
	RTPPorts          PortRange  `name:"rtp-ports" env:"PARLEY_RTP_PORTS" default:"20000-20999" placeholder:"LO-HI" help:"UDP ports of plain RTP endpoints (POST …/rtp), two for each stream, on the address of --udp."`
	TURN              Listener   `name:"turn" env:"PARLEY_TURN" placeholder:"ADDR:PORT|off" help:"Where the embedded TURN server listens, UDP and TCP, for people who cannot reach one another directly; off: none. Default: port 3478 at the address of --udp, or another one if that is in use."`
	TURNPorts         PortRange  `name:"turn-ports" env:"PARLEY_TURN_PORTS" default:"49160-50159" placeholder:"LO-HI" help:"UDP ports that the TURN server relays from, one for each allocation."`
	TURNAllow         Prefixes   `name:"turn-allow" env:"PARLEY_TURN_ALLOW" placeholder:"CIDR[,CIDR]" help:"Private networks that the TURN server may relay to, such as 192.168.0.0/16. Without it, it reaches no special address range; ports of this server other than its relays it never does."`
	Workers           int        `name:"workers" env:"PARLEY_WORKERS" default:"0" help:"Media workers, one core and one UDP port each. 0: one per CPU, at most 16."`
	Data              string     `name:"data" env:"PARLEY_DATA" type:"path" default:"./data" placeholder:"DIR" help:"Directory for keys, certificates and records; made if missing."`
	Dev               bool       `name:"dev" env:"PARLEY_DEV" help:"Anyone may start and join rooms under any name. For trying out; never on the open internet."`
	Advertise         Addrs      `name:"advertise" env:"PARLEY_ADVERTISE" placeholder:"IP[,IP]" help:"Addresses announced to clients instead of the bound ones: the public IPv4 and IPv6 of a server behind NAT."`
	ICETCP            bool       `name:"ice-tcp" env:"PARLEY_ICE_TCP" default:"true" negatable:"" help:"Accept media over TCP on the HTTP port, for networks that block UDP."`
	TLSCert           string     `name:"tls-cert" env:"PARLEY_TLS_CERT" type:"path" placeholder:"FILE" help:"Certificate chain, PEM. Without one, a self-signed certificate serves every address but loopback."`
	TLSKey            string     `name:"tls-key" env:"PARLEY_TLS_KEY" type:"path" placeholder:"FILE" help:"Private key of --tls-cert, PEM, not readable by others."`
	Admin             Endpoint   `name:"admin" env:"PARLEY_ADMIN" placeholder:"ADDR:PORT" help:"Listener for /stats, /metrics and /debug/pprof without any login; off when empty, keep it on loopback."`
	Origins           []string   `name:"origins" env:"PARLEY_ORIGINS" placeholder:"URL" help:"Other web origins that may open the WebSocket and use WHIP and WHEP, such as https://app.example.org."`
	TrustedProxies    Prefixes   `name:"trusted-proxies" env:"PARLEY_TRUSTED_PROXIES" placeholder:"CIDR[,CIDR]" help:"Reverse proxies in front of the HTTP port, such as 127.0.0.1/32 or 10.1.0.0/16: clients are then counted and logged by the address that the nearest of them saw, not by the proxy's."`
	ProxyHeader       string     `name:"proxy-header" env:"PARLEY_PROXY_HEADER" enum:"x-forwarded-for,forwarded" default:"x-forwarded-for" help:"Where --trusted-proxies write the address: x-forwarded-for, or forwarded (RFC 7239). The other header is ignored, since clients can write it."`
	Mixer             string     `name:"mixer" env:"PARLEY_MIXER" enum:"auto,off" default:"auto" help:"auto: mix sound, and pictures where the codec libraries are installed, for the conferences and devices that want it; off: refuse to."`
	LastN             int        `name:"last-n" env:"PARLEY_LAST_N" default:"0" help:"Cameras that a receiver is sent at most, those of who spoke last, where a conference's policy does not say otherwise. 0: all."`
	LoudestK          int        `name:"loudest-k" env:"PARLEY_LOUDEST_K" default:"0" help:"Microphones that are heard at a time, the loudest, where a conference's policy does not say otherwise. 0: all."`
	Drain             Span       `name:"drain" env:"PARLEY_DRAIN" default:"3s" help:"How long to let sessions say goodbye at SIGTERM, at most 4s without a cluster."`
	WebhookURL        []string   `name:"webhook-url" env:"PARLEY_WEBHOOK_URL" placeholder:"URL" help:"Where events of conferences are posted, signed; https, not of a private address range. May be several."`
	WebhookSecretFile string     `name:"webhook-secret-file" env:"PARLEY_WEBHOOK_SECRET_FILE" type:"path" placeholder:"FILE" help:"Holds the secret that signs webhooks, at least 16 characters; not readable by others."`
	WebhookLoopback   bool       `name:"webhook-loopback" env:"PARLEY_WEBHOOK_LOOPBACK" help:"Allow webhooks to this machine, in plain http too. For trying out."`
	TraceDir          string     `name:"trace-dir" env:"PARLEY_TRACE_DIR" type:"path" placeholder:"DIR" help:"Write a trace of every connection's transport there, one file each, for parley trace: estimates, rates, losses, layers; no media, names or addresses. Without it none are written until PUT /api/v1/traces says so, and then in traces below --data."`
	TraceMegabytes    int        `name:"trace-megabytes" env:"PARLEY_TRACE_MEGABYTES" default:"32" help:"Size of one connection's trace; of a longer one the beginning goes. 32: some six hours."`
	TraceFiles        int        `name:"trace-files" env:"PARLEY_TRACE_FILES" default:"1000" help:"Files in that directory; the oldest goes for a new one."`
	LogLevel          string     `name:"log-level" env:"PARLEY_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"debug, info, warn or error."`
	LogFormat         string     `name:"log-format" env:"PARLEY_LOG_FORMAT" enum:"text,json" default:"text" help:"text or json."`
	Limits            LimitsConf `embed:"" prefix:"limits."`
}

// LimitsConf are the caps that protect a node; every surface cites this table.
type LimitsConf struct {
	HalfOpen        int  `name:"half-open" env:"PARLEY_LIMITS_HALF_OPEN" default:"20" help:"Unfinished joins per address without a token."`
	HalfOpenTrusted int  `name:"half-open-trusted" env:"PARLEY_LIMITS_HALF_OPEN_TRUSTED" default:"200" help:"Unfinished joins per address with a token or owner right."`
	HalfOpenNode    int  `name:"half-open-node" env:"PARLEY_LIMITS_HALF_OPEN_NODE" default:"500" help:"Unfinished joins on this node."`
	HalfOpenTime    Span `name:"half-open-time" env:"PARLEY_LIMITS_HALF_OPEN_TIME" default:"15s" help:"After this an unfinished join is given up."`
	Sessions        int  `name:"sessions" env:"PARLEY_LIMITS_SESSIONS" default:"20000" help:"Signalling sessions on this node."`
	PerAddress      int  `name:"per-address" env:"PARLEY_LIMITS_PER_ADDRESS" default:"2000" help:"HTTP connections per client address."`
	Conferences     int  `name:"conferences" env:"PARLEY_LIMITS_CONFERENCES" default:"5000" help:"Active conferences on this node."`
	Participants    int  `name:"participants" env:"PARLEY_LIMITS_PARTICIPANTS" default:"1000" help:"Participants per conference."`
	SpillAt         int  `name:"spill-at" env:"PARLEY_LIMITS_SPILL_AT" default:"150" help:"Links of one room on one worker before the room also uses the next."`
	PictureWidth    int  `name:"picture-width" env:"PARLEY_LIMITS_PICTURE_WIDTH" default:"1920" help:"Widest picture the mixer decodes, either way round; what claims more is refused before memory is given."`
	PictureHeight   int  `name:"picture-height" env:"PARLEY_LIMITS_PICTURE_HEIGHT" default:"1088" help:"Highest picture the mixer decodes."`
}

// Endpoint is ADDR:PORT; an empty ADDR means all addresses. The zero value is "not set".
type Endpoint struct {
	Addr netip.Addr // invalid: all addresses
	Port uint16
}

// UnmarshalText parses "127.0.0.1:8080", "[::1]:8080" or ":8080".
func (e *Endpoint) UnmarshalText(b []byte) error {
	s := string(b)
	if s == "" {
		*e = Endpoint{}
		return nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return fmt.Errorf("%q is not ADDR:PORT", s)
	}
	p, err := strconv.ParseUint(s[i+1:], 10, 16)
	if err != nil || p == 0 || s[i+1] == '+' {
		return fmt.Errorf("%q: the port must be 1 to 65535", s)
	}
	e.Port, e.Addr = uint16(p), netip.Addr{}
	host := s[:i]
	if host == "" {
		return nil
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	} else if strings.Contains(host, ":") {
		return fmt.Errorf("%q: write an IPv6 address as [ADDR]:PORT", s)
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("%q is not an IP address", host)
	}
	e.Addr = a.Unmap()
	return nil
}

// IsZero reports whether nothing was set.
func (e Endpoint) IsZero() bool { return e.Port == 0 }

// String is the form UnmarshalText reads.
func (e Endpoint) String() string {
	if e.IsZero() {
		return ""
	}
	if !e.Addr.IsValid() {
		return fmt.Sprintf(":%d", e.Port)
	}
	return netip.AddrPortFrom(e.Addr, e.Port).String()
}

// AddrPort returns the address to bind, with the IPv6 wildcard for "all".
func (e Endpoint) AddrPort() netip.AddrPort {
	a := e.Addr
	if !a.IsValid() {
		a = netip.IPv6Unspecified()
	}
	return netip.AddrPortFrom(a, e.Port)
}

// Listener is an Endpoint that may be off.
type Listener struct {
	Endpoint
	Off bool
}

// UnmarshalText parses what Endpoint does, or "off".
func (l *Listener) UnmarshalText(b []byte) error {
	*l = Listener{Off: string(b) == "off"}
	if l.Off {
		return nil
	}
	return l.Endpoint.UnmarshalText(b)
}

// String is the form UnmarshalText reads.
func (l Listener) String() string {
	if l.Off {
		return "off"
	}
	return l.Endpoint.String()
}

// Addrs is a comma-separated list of IP addresses.
type Addrs []netip.Addr

// UnmarshalText parses "192.0.2.1,2001:db8::1".
func (a *Addrs) UnmarshalText(b []byte) error {
	*a = nil
	for _, s := range strings.Split(string(b), ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			return fmt.Errorf("%q is not an address a client could reach", s)
		}
		*a = append(*a, ip.Unmap())
	}
	return nil
}

// Prefixes is a comma-separated list of networks.
type Prefixes []netip.Prefix

// UnmarshalText parses "127.0.0.1,10.1.0.0/16"; an address stands for itself.
func (p *Prefixes) UnmarshalText(b []byte) error {
	*p = nil
	for _, s := range strings.Split(string(b), ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		n, err := netip.ParsePrefix(s)
		if a, e := netip.ParseAddr(s); e == nil {
			n, err = netip.PrefixFrom(a.WithZone(""), a.BitLen()), nil
		}
		if err != nil || n.Addr().Is4In6() {
			return fmt.Errorf("%q is not a network like 10.1.0.0/16", s)
		}
		if n.Bits() == 0 {
			return fmt.Errorf("%q is everybody: any client could then claim any address", s)
		}
		*p = append(*p, n.Masked())
	}
	return nil
}

// PortRange is LO-HI, both included.
type PortRange struct{ Low, High uint16 }

// UnmarshalText parses "20000-20999".
func (p *PortRange) UnmarshalText(b []byte) error {
	lo, hi, ok := strings.Cut(string(b), "-")
	l, err := strconv.ParseUint(strings.TrimSpace(lo), 10, 16)
	h, err2 := strconv.ParseUint(strings.TrimSpace(hi), 10, 16)
	if !ok || err != nil || err2 != nil || l < 1024 || h < l+1 {
		return fmt.Errorf("%q is not a range of two or more ports like 20000-20999, from 1024 on", b)
	}
	p.Low, p.High = uint16(l), uint16(h)
	return nil
}

func (p PortRange) count() int { return int(p.High) - int(p.Low) + 1 }

// String is the form UnmarshalText reads.
func (p PortRange) String() string { return fmt.Sprintf("%d-%d", p.Low, p.High) }

// Span is a positive duration such as 15s or 2m.
type Span time.Duration

// UnmarshalText parses a Go duration; bare numbers are refused because nobody can tell their unit.
func (s *Span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration like 15s or 2m", b)
	}
	*s = Span(d)
	return nil
}

// D returns the duration.
func (s Span) D() time.Duration { return time.Duration(s) }

// Problem is one thing wrong with the configuration.
type Problem struct {
	Key    string // flag name
	Reason string
}

// Validate judges what the types alone cannot: ranges, clashes, files. It
// changes nothing.
func (c *Server) Validate() []Problem {
	var ps []Problem
	bad := func(key, format string, a ...any) {
		ps = append(ps, Problem{key, fmt.Sprintf(format, a...)})
	}
	if c.Workers < 0 || c.Workers > 256 {
		bad("workers", "%d is not 0 to 256", c.Workers)
	}
	if !c.UDP.IsZero() && int(c.UDP.Port)+max(c.Workers, 1)-1 > 65535 {
		bad("udp", "%d workers from port %d do not fit below 65536", c.Workers, c.UDP.Port)
	}
	for _, v := range []struct {
		key string
		n   int
	}{{"last-n", c.LastN}, {"loudest-k", c.LoudestK}} {
		if v.n < 0 || v.n > 1000 {
			bad(v.key, "%d is not 0 to 1000", v.n)
		}
	}
	c.checkPorts(bad)
	if !c.Admin.IsZero() && c.Admin.Port == c.HTTP.Port && (c.Admin.Addr == c.HTTP.Addr || !c.Admin.Addr.IsValid() || !c.HTTP.Addr.IsValid()) {
		bad("admin", "port %d is already the http port", c.Admin.Port)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls-cert", "tls-cert and tls-key go together")
	} else if c.TLSCert != "" {
		checkKeyPair(c.TLSCert, c.TLSKey, bad)
	}
	for _, o := range c.Origins {
		if !strings.HasPrefix(o, "https://") && !strings.HasPrefix(o, "http://") || strings.Count(o, "/") != 2 {
			bad("origins", "%q is not an origin like https://app.example.org", o)
		}
	}
	c.checkWebhooks(bad)
	if c.TraceMegabytes < 0 || c.TraceMegabytes > 512 { // a part is half of it, and parley trace reads no more
		bad("trace-megabytes", "%d is not 1 to 512", c.TraceMegabytes)
	}
	if c.TraceFiles < 0 || c.TraceFiles > 1_000_000 {
		bad("trace-files", "%d is not 1 to 1000000", c.TraceFiles)
	}
	ps = append(ps, c.Limits.validate()...)
	return append(ps, checkData(c.Data)...)
}

// defaultTURNPorts is the default of TURNPorts.
var defaultTURNPorts = PortRange{49160, 50159}

// checkPorts finds UDP ports that are asked for twice. Addresses are not looked
// at: who wants the same ports on two of them is rarer than who mistypes.
func (c *Server) checkPorts(bad func(key, format string, a ...any)) {
	type use struct {
		key       string
		low, high int
	}
	var all []use
	add := func(key string, low, n int) { all = append(all, use{key, low, low + n - 1}) }
	if !c.UDP.IsZero() {
		add("udp", int(c.UDP.Port), max(c.Workers, 1))
	}
	add("rtp-ports", int(c.RTPPorts.Low), c.RTPPorts.count())
	if !c.TURN.Off {
		// Relays pass over ports that are taken: one in a range that nobody asked
		// for is no mistake.
		if c.TURNPorts != defaultTURNPorts {
			add("turn-ports", int(c.TURNPorts.Low), c.TURNPorts.count())
		}
		if !c.TURN.IsZero() {
			add("turn", int(c.TURN.Port), 1)
		}
	}
	for i, b := range all {
		for _, a := range all[:i] {
			if a.low <= b.high && b.low <= a.high {
				bad(b.key, "%s and %s want the same UDP ports", b.key, a.key)
			}
		}
	}
}

func (l *LimitsConf) validate() (ps []Problem) {
	for _, v := range []struct {
		key string
		n   int
	}{
		{"half-open", l.HalfOpen}, {"half-open-trusted", l.HalfOpenTrusted}, {"half-open-node", l.HalfOpenNode},
		{"sessions", l.Sessions}, {"per-address", l.PerAddress}, {"conferences", l.Conferences},
		{"participants", l.Participants}, {"spill-at", l.SpillAt},
	} {
		if v.n < 1 || v.n > 10_000_000 {
			ps = append(ps, Problem{"limits." + v.key, fmt.Sprintf("%d is not 1 to 10000000", v.n)})
		}
	}
	// More than 4096 × 2176 does not fit the memory a decoder process is given.
	if l.PictureWidth < 0 || l.PictureWidth > 4096 {
		ps = append(ps, Problem{"limits.picture-width", fmt.Sprintf("%d is not 0 to 4096", l.PictureWidth)})
	}
	if l.PictureHeight < 0 || l.PictureHeight > 2176 {
		ps = append(ps, Problem{"limits.picture-height", fmt.Sprintf("%d is not 0 to 2176", l.PictureHeight)})
	}
	return ps
}

// minSecret of a webhook: what cannot be guessed.
const minSecret = 16

func (c *Server) checkWebhooks(bad func(key, format string, a ...any)) {
	for _, u := range c.WebhookURL {
		if err := iana.CheckCallback(u, c.WebhookLoopback); err != nil {
			bad("webhook-url", "%v", err) // the URL itself may be a secret
		}
	}
	if len(c.WebhookURL) == 0 && c.WebhookSecretFile == "" {
		return
	}
	if c.WebhookSecretFile == "" {
		bad("webhook-secret-file", "is needed with webhook-url")
		return
	}
	if _, err := c.WebhookSecret(); err != nil {
		bad("webhook-secret-file", "%v", err)
	}
}

// WebhookSecret reads the secret; its errors never hold it.
func (c *Server) WebhookSecret() (ids.Secret, error) {
	fi, err := os.Stat(c.WebhookSecretFile)
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() || fi.Mode().Perm()&0o077 != 0 || fi.Size() > 4096 {
		return "", fmt.Errorf("%q must be a small file only you can read (mode %04o); chmod 600 it", c.WebhookSecretFile, fi.Mode().Perm())
	}
	b, err := os.ReadFile(c.WebhookSecretFile)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(b))
	if len(s) < minSecret {
		return "", fmt.Errorf("%q holds less than %d characters", c.WebhookSecretFile, minSecret)
	}
	return ids.Secret(s), nil
}

// checkData refuses a data path that is a file or cannot be made; it makes nothing.
func checkData(dir string) []Problem {
	if dir == "" {
		return []Problem{{"data", "must name a directory"}}
	}
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		return []Problem{{"data", fmt.Sprintf("%q is not a directory", dir)}}
	}
	if err != nil && !os.IsNotExist(err) {
		return []Problem{{"data", err.Error()}}
	}
	return nil
}

func checkKeyPair(cert, key string, bad func(key, format string, a ...any)) {
	fi, err := os.Stat(key)
	if err != nil {
		bad("tls-key", "%v", err)
		return
	}
	if fi.Mode().Perm()&0o077 != 0 {
		bad("tls-key", "%q may be read by others (mode %04o); chmod 600 it", key, fi.Mode().Perm())
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		bad("tls-cert", "%v", err)
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err == nil && time.Now().After(leaf.NotAfter) {
		bad("tls-cert", "%q expired on %s", cert, leaf.NotAfter.Format("2006-01-02"))
	}
}
