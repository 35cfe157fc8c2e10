package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"parley/api"
	"parley/internal/admin"
	"parley/internal/auth"
	"parley/internal/base/clock"
	"parley/internal/conference/policy"
	"parley/internal/config"
	"parley/internal/focus"
	"parley/internal/mcu"
	"parley/internal/signaling/origin"
	"parley/internal/signaling/session"
	"parley/internal/signaling/web"
	"parley/internal/signaling/whip"
	"parley/internal/signaling/ws"
	"parley/internal/store"
	"parley/internal/tracefile"
	"parley/internal/transport/dtls"
	"parley/internal/transport/tcp"
	"parley/internal/transport/turn"
	"parley/internal/webhook"
	"parley/internal/worker"
	client "parley/web"
)

// stopBudget is how long all of stopping may take; SIGTERM promises 5 s.
const stopBudget = 4500 * time.Millisecond

// Node is one server. See [New].
type Node struct {
	cfg     *config.Server
	version string
	log     *slog.Logger
	listen  listen
	auth    *auth.Authenticator
	self    bool // certificate of our own making

	store    *store.Store
	defs     *store.Definitions
	hooks    *webhook.Sender
	focus    *focus.Focus
	sessions *session.Registry
	ws       *ws.Handler
	whip     *whip.Handler
	pool     *worker.Pool
	traces   *tracefile.Writer
	mixer    *mcu.Server  // nil: none
	turn     *turn.Server // nil: none
	turnCert *tls.Config
	http     *http.Server
	inner    net.Listener // what http serves
	admin    *http.Server
	adminLn  net.Listener
	ready    atomic.Bool
	started  time.Time
}

// New reads keys and certificates, binds every port and plugs the parts
// together. Nothing is served before Run. Logs go to logs.
func New(c *config.Server, version string, logs io.Writer) (*Node, error) {
	n := &Node{cfg: c, version: version, log: newLogger(c, logs), started: time.Now()}
	n.listen = resolve(c, hostAddrs())
	for _, w := range n.listen.warnings {
		n.log.Warn(w)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	var err error
	if n.auth, err = auth.Open(auth.Config{Dir: c.Data, Dev: c.Dev, Log: n.log}); err != nil {
		return nil, err
	}
	tlsConfig, err := n.tlsConfig()
	if err != nil {
		return nil, err
	}
	if err := n.openHooks(); err != nil {
		return nil, err
	}
	if err := n.openStore(); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	ln, err := net.Listen("tcp", n.listen.http.String())
	if err != nil {
		n.closeStore()
		return nil, fmt.Errorf("--http: %w", err)
	}
	if err := n.openTURN(tlsConfig); err != nil {
		_ = ln.Close()
		n.closeStore()
		return nil, fmt.Errorf("--turn: %w", err)
	}
	if err := n.assemble(ln, tlsConfig); err != nil {
		_ = ln.Close()
		if n.turn != nil {
			n.turn.Abandon()
		}
		n.closeStore()
		return nil, err
	}
	return n, nil
}

// tlsConfig is nil on loopback without a configured certificate: browsers treat
// plain HTTP there as secure.
func (n *Node) tlsConfig() (*tls.Config, error) {
	if n.cfg.TLSCert == "" && n.listen.http.Addr().IsLoopback() {
		return nil, nil
	}
	cert, self, err := serverCertificate(n.cfg.TLSCert, n.cfg.TLSKey, n.cfg.Data, n.listen.advertise, time.Now())
	if err != nil {
		return nil, fmt.Errorf("--tls-cert: %w", err)
	}
	n.self = self
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

func (n *Node) assemble(ln net.Listener, tlsConfig *tls.Config) error {
	c := n.cfg
	clk := clock.NewSystem()
	pol := policy.Default()
	pol.Dev, pol.MaxUsers = c.Dev, c.Limits.Participants
	pol.LastN, pol.LoudestK = c.LastN, c.LoudestK
	n.focus = focus.New(focus.Config{Inviter: n.auth, Clock: clk, Log: n.log, Policy: pol, MaxConferences: c.Limits.Conferences, Definitions: n.defs, Observe: n.observer(), ICEServers: n.iceServers})
	if err := n.focus.Recover(); err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	identity, err := dtls.NewIdentity()
	if err != nil {
		return err
	}
	httpLn, iceLn := tcp.Split(ln)
	var ice []net.Listener
	if c.ICETCP {
		ice = append(ice, iceLn)
	} else {
		_ = iceLn.Close()
	}
	traced, err := n.openTraces()
	if err != nil {
		return err
	}
	n.pool, err = worker.New(worker.Config{
		Trace:    traced,
		RTPPorts: worker.PortRange(c.RTPPorts),
		UDP:      n.listen.udp, Workers: n.listen.workers, Advertise: n.listen.advertise, TCP: ice,
		Identity: identity, Sink: n.focus, Clock: clk, Logger: n.log,
		Caps: worker.Caps{
			HalfOpenPerAddr: c.Limits.HalfOpen, HalfOpenPerTrusted: c.Limits.HalfOpenTrusted,
			HalfOpenTotal: c.Limits.HalfOpenNode, JoinTimeout: c.Limits.HalfOpenTime.D(),
			LinksPerShard: c.Limits.SpillAt, MaxLinks: c.Limits.Sessions,
		},
	})
	if err != nil {
		return fmt.Errorf("--udp: %w", err)
	}
	n.focus.SetPlane(n.pool)
	n.openMixer(clk)
	n.inner = &secureListener{Listener: httpLn, config: tlsConfig}
	n.http = newHTTPServer(n.surface(clk), n.log)
	if !c.Admin.IsZero() {
		if n.adminLn, err = net.Listen("tcp", c.Admin.AddrPort().String()); err != nil {
			n.pool.Abandon()
			return fmt.Errorf("--admin: %w", err)
		}
		n.admin = newHTTPServer(n.adminHandler(), n.log)
		n.admin.ReadTimeout, n.admin.WriteTimeout = 0, 2*time.Minute // a CPU profile takes its time
	}
	return nil
}

// surface is everything on the public HTTP port.
func (n *Node) surface(clk *clock.System) http.Handler {
	c := n.cfg
	from := origin.Policy{Allowed: c.Origins, Dev: c.Dev}
	n.sessions = session.NewRegistry(session.Config{
		Port: n.focus, Auth: n.auth, Now: clk.Now, Log: n.log, MaxSessions: c.Limits.Sessions,
	})
	n.ws = ws.NewHandler(ws.Config{Sessions: n.sessions, Origin: from, Log: n.log, PerAddress: c.Limits.PerAddress})
	n.whip = whip.NewHandler(whip.Config{Port: n.focus, Auth: n.auth, Origin: from, Log: n.log})
	pol := policy.Default()
	pol.MaxUsers = c.Limits.Participants
	pol.LastN, pol.LoudestK = c.LastN, c.LoudestK
	h := web.Handler(web.Config{
		API: admin.New(admin.Config{
			Conferences: n.focus, Definitions: n.defs, Auth: n.auth, Policy: pol, Log: n.log, Traces: tracing{n},
		}),
		Pages: client.Handler(), WS: n.ws, WHIP: n.whip, Auth: n.auth.Handler(nil), Authn: n.auth,
		Origin: from, AuthMode: n.auth.Mode(), Dev: c.Dev, Version: n.version,
		Status: func(uri string) (api.RoomStatus, bool) {
			s, ok := n.focus.Status(uri)
			return api.RoomStatus{Active: s.Active, Locked: s.Locked, Title: s.Title, UserCount: s.UserCount, E2EE: s.E2EE}, ok
		},
	})
	proxies := origin.Proxies{Trusted: c.TrustedProxies, Forwarded: c.ProxyHeader == "forwarded"}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", n.healthz)
	mux.Handle("/", requireTLS(proxies.Handler(h), c.Dev))
	return mux
}

// healthz answers 200 when the server takes joins, 503 while it starts or stops.
func (n *Node) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if !n.ready.Load() {
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "not ready\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// newHTTPServer has a timeout on everything a slow peer could hold (S2, A32). A
// request with its body has to be here before the 10 s of scenario S2; bodies
// are 128 KiB at most.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 9 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10, ConnContext: withConn,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Run serves until ctx ends, says goodbye to every session and returns nil
// after a clean stop, at most 5 s later.
func (n *Node) Run(ctx context.Context) error {
	run, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, 8)
	var g sync.WaitGroup
	start := func(name string, f func() error) {
		g.Go(func() {
			if err := f(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	start("media", func() error { return n.runMedia(run) })
	if n.turn != nil {
		start("turn", func() error { return n.turn.Run(run) })
	}
	start("webhooks", func() error { return n.hooks.Run(run) })
	start("sessions", func() error { return n.sessions.Run(run) })
	start("http", func() error { return n.http.Serve(n.inner) })
	if n.admin != nil {
		start("admin", func() error { return n.admin.Serve(n.adminLn) })
	}
	n.ready.Store(true)
	n.log.Info("ready", "http", n.listen.http.String(), "udp", fmt.Sprint(n.pool.Addrs()), "workers", n.listen.workers)
	var err error
	select {
	case <-ctx.Done():
		n.log.Info("stopping: saying goodbye to every session")
	case err = <-failed:
		n.log.Error("stopping", "err", err)
	}
	n.stop(cancel)
	g.Wait()
	n.closeStore()
	return err
}

// stop ends the parts from the outside in: no new work, goodbyes, media, sockets.
func (n *Node) stop(cancel context.CancelFunc) {
	n.ready.Store(false)
	ctx, done := context.WithTimeout(context.Background(), stopBudget)
	defer done()
	drain, drained := context.WithTimeout(ctx, min(n.cfg.Drain.D(), stopBudget-time.Second))
	defer drained()
	n.whip.Shutdown("shutdown")
	n.sessions.Shutdown(api.Goodbye{Kind: "goodbye", Action: "reconnect", Reason: "shutdown"})
	if err := n.focus.Shutdown(drain, "shutdown"); err != nil {
		n.log.Warn("some rooms did not end in time", "err", err)
	}
	n.ws.Close(drain)

	if err := n.http.Shutdown(drain); err != nil {
		_ = n.http.Close()
	}
	if n.admin != nil {
		_ = n.admin.Close()
	}
	n.closeMixer()
	cancel()
}

// Banner tells a person where to go.
func (n *Node) Banner(w io.Writer) {
	base := n.URL()
	fmt.Fprintf(w, "\n  Parley %s\n\n", n.version)
	if n.cfg.Dev {
		fmt.Fprintf(w, "  Open        %s/\n", base)
		fmt.Fprintf(w, "  WARNING     --dev: anyone who reaches this server may start and join rooms under any name\n")
	} else {
		key, created := n.auth.Owner()
		if created {
			fmt.Fprintf(w, "  Owner       %s\n              (made now; whoever has this link owns every room. Kept in %s/owner.key)\n", auth.OwnerLink(base, key), n.cfg.Data)
		} else {
			fmt.Fprintf(w, "  Open        %s/\n  Owner       add /#owner= and the key in %s/owner.key\n", base, n.cfg.Data)
		}
	}
	if n.self {
		fmt.Fprintf(w, "  Certificate self-signed: browsers ask once before they go on\n")
	}
	fmt.Fprintf(w, "  Media       UDP %s, announced as %v\n", portRange(n.pool.Addrs()), n.listen.advertise)
	if n.turn != nil {
		fmt.Fprintf(w, "  Relay       TURN on UDP and TCP port %d, ports %s\n", n.turn.Addr().Port(), n.cfg.TURNPorts)
	}
	fmt.Fprintf(w, "  Stop        Ctrl-C\n\n")
}

func portRange(a []netip.AddrPort) string {
	if len(a) == 1 {
		return a[0].String()
	}
	return fmt.Sprintf("%s to %d, one port per worker", a[0], a[len(a)-1].Port())
}

// URL is where a browser reaches the pages.
func (n *Node) URL() string {
	addr, scheme := n.listen.http.Addr(), "https"
	if addr.IsLoopback() && n.cfg.TLSCert == "" {
		scheme = "http"
	}
	if addr.IsUnspecified() && len(n.listen.advertise) > 0 {
		addr = n.listen.advertise[0]
	}
	return scheme + "://" + netip.AddrPortFrom(addr, n.listen.http.Port()).String()
}
