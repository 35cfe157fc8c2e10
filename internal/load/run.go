package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sort"
	"sync"
	"time"

	"parley/internal/base/clock"
	"parley/internal/transport/dtls"
	"parley/internal/worker/wire"
)

// joinTimeout is how long one join may take before it counts as failed.
const joinTimeout = 20 * time.Second

// feedbackEvery is how often subscribers look for what to ask for again.
const feedbackEvery = 20 * time.Millisecond

// Each subscriber tells what arrived every tellEvery, as browsers do from 0.2
// Mbit/s on, and no two groups of them at the same instant: browsers share no clock.
const (
	tellEvery  = 50 * time.Millisecond
	tellGroups = 50
)

// settleTime is for the server to notice what ended before its memory is read.
const settleTime = 500 * time.Millisecond

// maxErrors are kept for the report; more of the same help nobody.
const maxErrors = 8

// runner is one run under way.
type runner struct {
	cfg     *Config
	ctx     context.Context // ends with the run; everything started hangs on it
	clock   *clock.System
	dialer  *dialer
	group   sync.WaitGroup
	loop    *wire.Loop // nil where there is none: a goroutine for each peer
	round   int        // of feedback
	telling int        // of those who tell what arrived next

	mu     sync.Mutex // guards all below
	pubs   []*publisher
	subs   []*subscriber
	joins  []time.Duration
	failed int
	errs   []string
}

// Run joins everybody, measures for cfg.Duration, leaves, and reports. A join
// that fails is reported, not fatal; the error is for a run that found nothing.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	identity, err := dtls.NewIdentity()
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(ctx)
	r := &runner{cfg: &cfg, ctx: run, clock: clock.NewSystem()}
	if r.loop, err = wire.NewLoop(r.clock, cfg.GRO); err == nil {
		procs(1) // the loop keeps its P while it waits; joins and timers need another
		defer procs(-1)
		r.group.Go(func() { r.loop.Run(run, r.due()) })
	}
	r.dialer = newDialer(&cfg, wire.Config{
		Identity: identity, Handshakes: dtls.NewPool(dtls.Limits{}), Clock: r.clock, CheckInterval: 30 * time.Millisecond,
		OnlyCM: cfg.OnlyCM, Loop: r.loop,
	})
	defer func() {
		r.leave()
		cancel()
		r.group.Wait()
		r.dialer.client.CloseIdleConnections()
	}()
	base := r.stats(run, true)
	r.joinAll(run)
	if len(r.pubs)+len(r.subs) == 0 {
		return nil, fmt.Errorf("nobody could join: %v", r.errs)
	}
	return r.measure(run, base), ctx.Err()
}

var procsMu sync.Mutex // makes a read and a write of GOMAXPROCS one, as several runs may share a process

func procs(more int) {
	procsMu.Lock()
	defer procsMu.Unlock()
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + more)
}

func (r *runner) say(format string, a ...any) {
	if r.cfg.Progress != nil {
		r.cfg.Progress(fmt.Sprintf(format, a...))
	}
}

func (r *runner) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, err.Error())
	}
}

// connect runs a peer and waits until media may flow.
func (r *runner) connect(ctx context.Context, p *wire.Peer) error {
	over := func(err error) {
		if err != nil && !errors.Is(err, wire.ErrClosed) && r.ctx.Err() == nil {
			r.fail(err)
		}
	}
	if r.loop != nil {
		r.loop.Add(p, over)
	} else {
		r.group.Go(func() { over(p.Run(r.ctx)) })
	}
	select {
	case <-p.Connected():
		return nil
	case <-p.Over():
		return p.Err()
	case <-ctx.Done():
		p.Close()
		return ctx.Err()
	}
}

// joinAll joins publishers first, then subscribers, at the wanted rate.
func (r *runner) joinAll(ctx context.Context) {
	if r.loop == nil {
		r.group.Go(r.tick)
	}
	r.joinMany(ctx, "publishers", r.cfg.Publishers*r.cfg.rooms(), func(ctx context.Context, n int) error {
		p, err := r.publish(ctx, n)
		if err == nil {
			r.mu.Lock()
			r.pubs = append(r.pubs, p)
			r.mu.Unlock()
		}
		return err
	})
	r.joinMany(ctx, "subscribers", r.cfg.Subscribers*r.cfg.rooms(), func(ctx context.Context, n int) error {
		join := r.subscribe
		if r.cfg.Via == "ws" {
			join = r.subscribeWS
		}
		s, err := join(ctx, n)
		if err == nil {
			r.mu.Lock()
			r.subs = append(r.subs, s)
			r.mu.Unlock()
		}
		return err
	})
}

func (r *runner) joinMany(ctx context.Context, what string, n int, join func(context.Context, int) error) {
	gap := time.Second / time.Duration(r.cfg.JoinRate)
	t := time.NewTicker(gap)
	defer t.Stop()
	var g sync.WaitGroup
	for i := range n {
		g.Go(func() {
			step, cancel := context.WithTimeout(ctx, joinTimeout)
			defer cancel()
			start := time.Now()
			err := join(step, i)
			r.mu.Lock()
			defer r.mu.Unlock()
			if err == nil {
				r.joins = append(r.joins, time.Since(start))
				return
			}
			r.failed++
			if len(r.errs) < maxErrors {
				r.errs = append(r.errs, what+": "+err.Error())
			}
		})
		if i%50 == 49 || i == n-1 {
			r.say("joining %s %d/%d", what, i+1, n)
		}
		select {
		case <-ctx.Done():
			g.Wait()
			return
		case <-t.C:
		}
	}
	g.Wait()
}

// tick calls what is due without a loop to do it.
func (r *runner) tick() {
	due := r.due()
	for r.ctx.Err() == nil {
		now := r.clock.Now()
		sleep(r.ctx, min(due(now).Sub(now), feedbackEvery))
	}
}

// due returns what sends all publishers' frames in time and all subscribers'
// feedback; it says when it has something to do next.
func (r *runner) due() func(now clock.Time) clock.Time {
	start := r.clock.Now()
	var next, feedback, report, tell clock.Time
	return func(now clock.Time) clock.Time {
		if now < next {
			return next
		}
		if r.cfg.Feedback && now >= tell {
			r.inform()
			tell = max(tell.Add(tellEvery/tellGroups), now)
		}
		if now >= feedback {
			r.feedback(now)
			feedback = now.Add(feedbackEvery)
		}
		sr := now >= report
		if sr {
			report = now.Add(time.Second)
		}
		next = min(feedback, r.pace(now, start, sr))
		if r.cfg.Feedback {
			next = min(next, tell)
		}
		return next
	}
}

// pace sends the frames that are due and says when the next is.
func (r *runner) pace(now, start clock.Time, sr bool) clock.Time {
	next := now.Add(feedbackEvery)
	if r.cfg.Idle {
		return next
	}
	r.mu.Lock()
	pubs := r.pubs
	r.mu.Unlock()
	at := now.Sub(start)
	for _, p := range pubs {
		for _, t := range p.tracks {
			if t.due < at-time.Second { // joined late, or the machine slept: no burst to catch up
				t.due += (at - t.due) / t.src.Interval() * t.src.Interval()
			}
			for t.due <= at {
				p.frame(r.clock.Now(), t)
				t.due += t.src.Interval()
			}
			next = min(next, start.Add(t.due))
		}
		if sr {
			p.report(now, r.clock.Anchor())
		}
	}
	return next
}

// feedback repairs and reports for all subscribers.
func (r *runner) feedback(now clock.Time) {
	r.mu.Lock()
	subs := r.subs
	r.mu.Unlock()
	for i, s := range subs {
		s.repair(now)
		if r.round%50 == i%50 { // each once a second, spread over it
			s.report()
		}
	}
	r.round++
}

// inform has the next group of subscribers tell what arrived.
func (r *runner) inform() {
	r.mu.Lock()
	subs := r.subs
	r.mu.Unlock()
	for i := r.telling; i < len(subs); i += tellGroups {
		subs[i].inform()
	}
	r.telling = (r.telling + 1) % tellGroups
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// measure warms up, counts for the duration and sums up.
func (r *runner) measure(ctx context.Context, base *serverStats) *Report {
	sleep(ctx, r.cfg.Warmup)
	first := r.stats(ctx, false)
	for _, s := range r.subs {
		s.begin()
	}
	var before uint64
	for _, p := range r.pubs {
		before += p.packets.Load()
	}
	proc0, self0, own0, start := readProcess(r.cfg.ServerPID), readProcess(os.Getpid()), ownCPU(), time.Now()
	if r.cfg.Cut {
		sleep(ctx, r.cfg.Duration/2)
		r.cut()
	}
	for left := r.cfg.Duration - time.Since(start); left > 0 && ctx.Err() == nil; left = r.cfg.Duration - time.Since(start) {
		sleep(ctx, min(left, time.Second))
		r.say("measuring %.0f/%.0f s", min(time.Since(start), r.cfg.Duration).Seconds(), r.cfg.Duration.Seconds())
	}
	proc1, self1, own1, took := readProcess(r.cfg.ServerPID), readProcess(os.Getpid()), ownCPU(), time.Since(start)
	last := r.stats(ctx, false)
	rep := &Report{Publishers: len(r.pubs), Subscribers: len(r.subs), JoinsFailed: r.failed, Seconds: took.Seconds()}
	rep.Cut = r.returned()
	var lat, socket Histogram
	rep.PacketsLeast = math.MaxUint64
	for _, s := range r.subs {
		s.end(rep, &lat, &socket)
	}
	if len(r.subs) == 0 {
		rep.PacketsLeast = 0
	}
	for _, p := range r.pubs {
		rep.PacketsOut += p.packets.Load()
	}
	rep.PacketsOut -= before
	if rep.Server = compare(first, last, rep.PacketsIn); rep.Server != nil {
		r.dialer.client.CloseIdleConnections() // the server's side of them is not a subscriber's cost
		sleep(ctx, settleTime)
		rep.Server.weigh(base, r.stats(ctx, true), len(r.subs))
	}
	rep.ServerWait, rep.GeneratorWait = 100*(proc1.wait-proc0.wait)/took.Seconds(), 100*(self1.wait-self0.wait)/took.Seconds()
	rep.SocketP50, rep.SocketP99 = ms(socket.Quantile(.5)), ms(socket.Quantile(.99))
	r.finish(rep, &lat, took, proc1.cpu-proc0.cpu, own1-own0, proc1.rss)
	return rep
}

func (r *runner) finish(rep *Report, lat *Histogram, took time.Duration, cpu, own float64, rss uint64) {
	rep.LatencyP50, rep.LatencyP95, rep.LatencyP99 = ms(lat.Quantile(.5)), ms(lat.Quantile(.95)), ms(lat.Quantile(.99))
	rep.LatencyP999 = ms(lat.Quantile(.999))
	rep.JoinP50, rep.JoinP95 = ms(quantile(r.joins, .5)), ms(quantile(r.joins, .95))
	var first []time.Duration
	for _, s := range r.subs {
		if s.mu.Lock(); s.first != 0 {
			first = append(first, s.first.Sub(s.asked))
		}
		s.mu.Unlock()
	}
	rep.FirstP50, rep.FirstP95 = ms(quantile(first, .5)), ms(quantile(first, .95))
	if n := rep.PacketsIn + rep.Lost; n > 0 {
		rep.LossPercent = 100 * float64(rep.Lost) / float64(n)
	}
	rep.ForwardPerSec = float64(rep.PacketsIn) / took.Seconds()
	rep.PayloadMbitSec = float64(rep.BytesIn) * 8 / 1e6 / took.Seconds()
	rep.OwnCPU = own
	rep.GeneratorBusy = 100 * own / took.Seconds() / float64(runtime.NumCPU())
	if r.cfg.ServerPID != 0 {
		rep.ServerCPU, rep.ServerRSS = cpu, rss
		if rep.PacketsIn > 0 {
			rep.CPUPerPacket = cpu * 1e6 / float64(rep.PacketsIn)
		}
		if n := len(r.subs) + len(r.pubs); n > 0 {
			rep.RSSPerPeer = float64(rss) / float64(n)
		}
	}
	r.mu.Lock()
	rep.Errors = r.errs
	r.mu.Unlock()
}

// leave says goodbye, twenty at a time.
func (r *runner) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	gate := make(chan struct{}, 20)
	var g sync.WaitGroup
	each := func(resource string, p *wire.Peer, c *wsClient) {
		gate <- struct{}{}
		g.Go(func() {
			defer func() { <-gate }()
			if resource != "" {
				r.dialer.remove(ctx, resource)
			}
			p.Close()
			if c != nil {
				c.cancel()
				_ = c.socket().CloseNow()
			}
		})
	}
	for _, s := range r.subs {
		each(s.resource, s.peer, s.ws)
	}
	for _, p := range r.pubs {
		each(p.resource, p.peer, nil)
	}
	g.Wait()
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	d = append([]time.Duration(nil), d...)
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	return d[min(int(q*float64(len(d))), len(d)-1)]
}
