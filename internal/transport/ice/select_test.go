package ice

import (
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// R3: the path follows a change of address at the first authenticated check,
// and not before, whatever else comes from the new address.
func TestR3_PathFollowsOnlyAuthenticatedCheck(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(100))
	for _, b := range forgeries(t) {
		w.send(cell, b)
	}
	if ev := w.a.Traffic(w.now, cell); ev.Flags != 0 {
		t.Fatalf("traffic from a path without a check: %+v", ev)
	}
	w.selected(wifi)
	if w.a.Validated(cell) {
		t.Fatal("validated by forgeries")
	}
	w.pass(100 * time.Millisecond)
	if ev := w.check(cell, useCandidate, priority(100)); !ev.Has(Validated | Selected) {
		t.Fatalf("%+v", ev)
	}
	w.selected(cell)
}

// libwebrtc nominates only the pair it uses: a lower priority must not stop us.
func TestR3_LowerPriorityIsFollowed(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(200))
	w.check(cell, priority(100)) // kept as a backup, not nominated
	w.selected(wifi)
	w.pass(500 * time.Millisecond)
	w.check(wifi, priority(200)) // still checked, no longer nominated
	w.check(cell, useCandidate, priority(100))
	w.selected(cell)

	w = newWorld(t)
	w.check(wifi, useCandidate, priority(200))
	w.pass(1100 * time.Millisecond) // wifi died without a word
	w.check(cell, useCandidate, priority(100))
	w.selected(cell)
}

// A client that nominated once and goes on checking without nomination moved to
// a new mapping: its media or a second check tell that it uses no other.
func TestR3_NominatedOnceIsFollowed(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(100))
	w.pass(500 * time.Millisecond)
	w.check(wifi, priority(100))
	w.pass(400 * time.Millisecond)
	w.check(cell, priority(100))
	w.selected(wifi) // it may have been late
	w.a.Traffic(w.now, cell)
	w.pass(100 * time.Millisecond)
	if ev := w.a.Traffic(w.now, cell); !ev.Has(Selected) {
		t.Fatalf("%+v", ev)
	}
	w.selected(cell)

	w = newWorld(t)
	w.check(wifi, useCandidate, priority(100))
	w.pass(400 * time.Millisecond)
	w.check(cell, priority(100))
	w.pass(500 * time.Millisecond)
	w.check(cell, priority(100))
	w.selected(cell)

	w = newWorld(t) // a second candidate, or a check that was late
	w.check(wifi, useCandidate, priority(100))
	w.pass(100 * time.Millisecond)
	w.check(cell, priority(100))
	w.pass(300 * time.Millisecond)
	w.check(wifi, priority(100))
	w.pass(300 * time.Millisecond)
	w.check(cell, priority(100))
	w.selected(wifi)
}

// Clients that nominate every pair: the highest priority wins and stays
// (RFC 8445, section 8.1.1), without flapping.
func TestAggressiveNominationDoesNotFlap(t *testing.T) {
	w := newWorld(t)
	changes := 0
	for range 50 {
		for _, c := range []struct {
			p    Path
			prio uint32
		}{{cell, 100}, {wifi, 200}, {at("203.0.113.5:7"), 50}} {
			if w.check(c.p, useCandidate, priority(c.prio)).Has(Selected) {
				changes++
			}
			w.pass(20 * time.Millisecond)
		}
	}
	w.selected(wifi)
	if changes != 2 {
		t.Fatalf("%d changes", changes)
	}
	// Equal priorities: the newer once, then no more.
	w, changes = newWorld(t), 0
	for range 50 {
		for _, p := range []Path{wifi, cell} {
			if w.check(p, useCandidate, priority(7)).Has(Selected) {
				changes++
			}
			w.pass(20 * time.Millisecond)
		}
	}
	if changes != 2 {
		t.Fatalf("equal priorities: %d changes", changes)
	}
}

func TestRenomination(t *testing.T) {
	nominate := func(n byte) rawAttr { return rawAttr{stun.AttrType(attrNomination), []byte{0, 0, 0, n}} }
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(200), nominate(1))
	w.check(cell, useCandidate, priority(100), nominate(2))
	w.selected(cell)
	w.check(wifi, useCandidate, priority(200), nominate(1)) // late
	w.selected(cell)
	w.check(wifi, useCandidate, priority(200), nominate(3))
	w.selected(wifi)
}

// Lasting authenticated media on another nominated path is followed; a few
// packets in flight are not.
func TestTrafficIsFollowed(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(200))
	w.check(cell, useCandidate, priority(100))
	w.selected(wifi)
	w.a.Traffic(w.now, cell)
	w.pass(50 * time.Millisecond)
	w.a.Traffic(w.now, wifi)
	w.a.Traffic(w.now, cell)
	w.pass(99 * time.Millisecond)
	if ev := w.a.Traffic(w.now, cell); ev.Has(Selected) {
		t.Fatal("too soon")
	}
	w.pass(time.Millisecond)
	if ev := w.a.Traffic(w.now, cell); !ev.Has(Selected) {
		t.Fatalf("%+v", ev)
	}
	w.selected(cell)
}

// R4: restart is make before break (RFC 8445, section 9).
func TestR4_RestartKeepsThePath(t *testing.T) {
	w := newWorld(t)
	w.check(wifi, useCandidate, priority(200))
	fresh, peer := Creds{"newserve", "new-server-password-24ch"}, Creds{"newp", "new-peer-password-22-ch"}
	if forget := w.a.Restart(fresh, peer); forget != "" || w.a.OldUfrag() != ours.Ufrag || w.a.Local() != fresh {
		t.Fatal(forget)
	}
	w.check(wifi, useCandidate) // the old ones still work
	w.selected(wifi)
	renewed := func(from Path, more ...stun.Setter) Event {
		t.Helper()
		out, ev := w.send(from, stunRequest(t, "newserve:newp", fresh.Pwd, append(more, controlling)...))
		if out == nil {
			t.Fatalf("%+v", ev)
		}
		return ev
	}
	if ev := renewed(cell, priority(1)); !ev.Has(Restarted|Validated) || ev.Has(Selected) {
		t.Fatalf("%+v", ev)
	}
	w.selected(wifi) // until one of the new generation is nominated
	if out, ev := w.send(wifi, stunRequest(t, user, ours.Pwd, controlling, useCandidate)); out != nil || ev.Drop != DropUsername {
		t.Fatalf("old credentials after the new ones came: %+v", ev)
	}
	if ev := renewed(cell, useCandidate, priority(1)); !ev.Has(Selected) || ev.Has(Restarted) {
		t.Fatalf("a lower priority of the new generation wins: %+v", ev)
	}
	w.selected(cell)
	if !w.a.Validated(wifi) {
		t.Fatal("packets in flight on the old path must still be taken")
	}
	if w.a.OldUfrag() != "" {
		t.Fatal("old ufrag still known")
	}
}

func TestR4_RestartTwiceBeforeUse(t *testing.T) {
	w := newWorld(t)
	w.check(wifi)
	w.a.Restart(Creds{"second__", "p2"}, theirs)
	if forget := w.a.Restart(Creds{"third___", "p3"}, theirs); forget != "second__" {
		t.Fatalf("%q", forget)
	}
	w.check(wifi) // the first ones are the ones in use
	if _, ev := w.send(wifi, stunRequest(t, "second__:peer", "p2", controlling)); ev.Drop != DropUsername {
		t.Fatalf("%+v", ev)
	}
	if _, ev := w.send(wifi, stunRequest(t, "third___:peer", "p3", controlling)); !ev.Has(Restarted) {
		t.Fatalf("%+v", ev)
	}
}
