package focus

import (
	"parley/api"
	"parley/internal/base/clock"
	"parley/internal/conference/control"
)

// held is the result of a request that is answered later.
type held struct{}

// hold keeps a join unanswered while its device is in the lobby. The caller is
// told with a provisional answer, which also stops its time to live.
func (r *room) hold(it *item, w control.Waiting) any {
	r.waiting[it.caller.Session] = append(r.waiting[it.caller.Session], it)
	it.proceed(182, w.Ticket)
	return held{}
}

// joinSettled gives the joins of a session their one final answer. When it was
// sent more than once, the first is the join and the others are told the same.
func (r *room) joinSettled(now clock.Time, e control.JoinSettled) {
	items := r.waiting[e.Session]
	delete(r.waiting, e.Session)
	if e.Err != nil || len(items) == 0 {
		for _, it := range items {
			it.refuse(e.Err)
		}
		return
	}
	var answer *api.AnswerResult
	for i, it := range items {
		if r.m.Device(e.Session) == nil { // put out again by what came before
			it.refuse(gone())
			continue
		}
		res, err := r.settleJoin(now, it, e.Result, i == 0)
		if err != nil {
			it.refuse(err)
			continue
		}
		if i == 0 {
			answer = res.Answer
		}
		res.Answer = answer
		it.succeed(res)
	}
}

func (r *room) settleJoin(now clock.Time, it *item, jr api.JoinResult, first bool) (api.JoinResult, error) {
	if !first {
		jr.Rev = r.m.Conference().Rev
		jr.Needed = r.needs(r.leg(r.m.Device(it.caller.Session)))
		return jr, nil
	}
	res, err := r.joined(now, it, jr)
	if err != nil { // others have seen the device come, and now see it go
		_, _ = r.step(now, it.command(control.SessionClosed, control.Closed{Reason: "refused"}))
		return jr, err
	}
	return res.(api.JoinResult), nil
}
