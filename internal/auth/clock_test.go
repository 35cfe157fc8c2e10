package auth

import (
	"testing"
	"time"

	"parley/api"
)

// TestR15_LeewayIsAtMostAMinute for clocks of other issuers, on either side.
func TestR15_LeewayIsAtMostAMinute(t *testing.T) {
	a, w := open(t, false)
	token, exp, err := a.Mint(Claims{Subject: "sip:ana@x", Role: api.RoleAttendee}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]bool{
		start.Add(-leeway):            true, // issued by a clock a little ahead
		exp.Add(leeway - time.Second): true,
		exp.Add(time.Minute):          false,
		exp.Add(time.Hour):            false,
	} {
		w.now = at
		if _, err := a.Authenticate(token, "", addr(1)); (err == nil) != want {
			t.Errorf("at %v after the issue: %v", at.Sub(start), err)
		}
	}
	if leeway > time.Minute {
		t.Errorf("leeway %v", leeway)
	}
}

// TestR15_OwnClockGoesOn: without a clock of its caller's, the package counts
// monotonically from the wall reading of its start.
func TestR15_OwnClockGoesOn(t *testing.T) {
	a, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	x := a.cfg.Now()
	if y := a.cfg.Now(); y.Before(x) || x.Round(0) == x { // Round(0) drops the monotonic reading
		t.Errorf("%v, then %v", x, y)
	}
}
