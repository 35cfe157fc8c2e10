package control

import (
	"cmp"
	"slices"
	"strconv"

	"parley/api"
	"parley/internal/base/fault"
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// floors is the right over media and who has or wants it, with the statuses of
// RFC 8855, section 5.2.5. A floor is named by the label of its medium. First
// come, first served grants from a queue by priority and age; otherwise the chair
// decides each request: whom the rules name (RFC 8855, section 2), or a moderator.
type floors struct {
	m    *Machine
	seq  uint64          // last number given to a request
	turn uint64          // last number given to a granting
	open []*floorRequest // that have not ended
	past pastRequests
}

type floorRequest struct {
	id       string
	label    string
	part     *model.Participant
	status   model.FloorStatus
	priority int
	order    uint64 // of asking; once granted, of granting
}

// maxPriority is the highest of RFC 8855, section 5.2.4.
const maxPriority = 4

func requestFloor(m *Machine, t *turn, p api.FloorRequestParams) (any, error) {
	x := &m.floors
	switch {
	case p.Priority < 0 || p.Priority > maxPriority:
		return nil, errBadParams("priority")
	case !m.cfg.Policy.HasFloor(p.Floor):
		return nil, fault.New(404, "not-found", "no such floor")
	}
	part, err := x.beneficiary(t, p)
	if err != nil {
		return nil, err
	}
	if r := x.of(part, p.Floor); r != nil {
		e := fault.New(409, "conflict", "the floor is held or asked for already")
		e.Data = map[string]any{"request": r.id, "status": string(r.status)}
		return nil, e
	}
	x.seq++
	r := &floorRequest{
		id: strconv.FormatUint(x.seq, 10), label: p.Floor, part: part, priority: p.Priority, order: x.seq,
		status: model.FloorPending,
	}
	x.open = append(x.open, r)
	if m.cfg.Policy.FloorAlgorithm == policy.FCFS {
		r.status = model.FloorAccepted
		x.promote(t, r.label)
	}
	if r.status != model.FloorGranted {
		x.changed(t, r, "")
	}
	return x.told(r), nil
}

// beneficiary is who is to hold the floor: the caller, or by a moderator's
// word somebody else (RFC 8855, section 5.3.1).
func (x *floors) beneficiary(t *turn, p api.FloorRequestParams) (*model.Participant, error) {
	if p.Beneficiary == "" || ids.Participant(p.Beneficiary) == t.dev.Part.ID {
		return t.dev.Part, nil
	}
	if !t.moderates() {
		return nil, errNotModerator()
	}
	part, err := x.m.devices.part(p.Beneficiary)
	if err == nil && part.State != model.Joined {
		err = errNoPart()
	}
	return part, err
}

// chairs checks that the caller may decide over requests: the named chair, and
// moderators always.
func (x *floors) chairs(t *turn) error {
	chair := x.m.cfg.Policy.FloorChair
	if t.moderates() || t.dev != nil && chair != "" && t.dev.Part.User == chair {
		return nil
	}
	return errForbidden()
}

// decided finds the request that the chair decides over.
func (x *floors) decided(t *turn, p api.FloorActionParams) (*floorRequest, error) {
	if err := x.chairs(t); err != nil {
		return nil, err
	}
	return x.find(p)
}

func grantFloor(m *Machine, t *turn, p api.FloorActionParams) (any, error) {
	x := &m.floors
	r, err := x.decided(t, p)
	switch {
	case err != nil:
		return nil, err
	case r.status == model.FloorGranted:
		return already(), nil
	case x.holders(r.label) >= m.cfg.Policy.MaxFloorUsers:
		return nil, fault.New(409, "max-floor-users", "the floor is held by as many as may hold it")
	}
	x.grant(t, r)
	return x.told(r), nil
}

func denyFloor(m *Machine, t *turn, p api.FloorActionParams) (any, error) {
	x := &m.floors
	r, err := x.decided(t, p)
	if err == nil && r.status == model.FloorGranted {
		err = errFloorState(r.id, r.status)
	}
	if err != nil {
		return nil, err
	}
	x.finish(t, r, model.FloorDenied, p.Reason)
	return x.told(r), nil
}

func revokeFloor(m *Machine, t *turn, p api.FloorActionParams) (any, error) {
	x := &m.floors
	r, err := x.decided(t, p)
	if err == nil && r.status != model.FloorGranted {
		err = errFloorState(r.id, r.status)
	}
	if err != nil {
		return nil, err
	}
	x.finish(t, r, model.FloorRevoked, p.Reason)
	return x.told(r), nil
}

// releaseFloor gives back what is held, or takes back what was asked for.
func releaseFloor(m *Machine, t *turn, p api.FloorActionParams) (any, error) {
	x := &m.floors
	if _, over := x.past.of[p.Request]; over {
		return already(), nil
	}
	r, err := x.find(p)
	if err != nil {
		return nil, err
	}
	if !t.moderates() && r.part != t.dev.Part {
		return nil, errNotModerator()
	}
	x.finish(t, r, r.givenUp(), p.Reason)
	return x.told(r), nil
}

func (r *floorRequest) givenUp() model.FloorStatus {
	if r.status == model.FloorGranted {
		return model.FloorReleased
	}
	return model.FloorCancelled
}

// find returns a request that has not ended. One that has is a conflict: the
// holder, or somebody else, was faster.
func (x *floors) find(p api.FloorActionParams) (*floorRequest, error) {
	if !validText(p.Reason, maxWhy) {
		return nil, errBadParams("reason")
	}
	if s, over := x.past.of[p.Request]; over {
		return nil, errFloorState(p.Request, s)
	}
	i := slices.IndexFunc(x.open, func(r *floorRequest) bool { return r.id == p.Request })
	if i < 0 {
		return nil, fault.New(404, "not-found", "no such floor request")
	}
	return x.open[i], nil
}

func errFloorState(id string, s model.FloorStatus) error {
	e := fault.New(409, "bad-state", "the request is %s", string(s))
	e.Data = map[string]any{"request": id, "status": string(s)}
	return e
}

func (x *floors) of(p *model.Participant, label string) *floorRequest {
	i := slices.IndexFunc(x.open, func(r *floorRequest) bool { return r.part == p && r.label == label })
	if i < 0 {
		return nil
	}
	return x.open[i]
}

func (x *floors) holders(label string) int {
	n := 0
	for _, r := range x.open {
		if r.label == label && r.status == model.FloorGranted {
			n++
		}
	}
	return n
}

// grant is the only place where somebody gets a floor.
func (x *floors) grant(t *turn, r *floorRequest) {
	x.turn++
	r.status, r.order = model.FloorGranted, x.turn
	x.changed(t, r, "")
	x.settleMedia(t, r.label)
}

// finish ends a request; a floor that gets free goes to the next.
func (x *floors) finish(t *turn, r *floorRequest, s model.FloorStatus, reason string) {
	r.status = s
	x.open = slices.DeleteFunc(x.open, func(o *floorRequest) bool { return o == r })
	x.past.add(r.id, s)
	x.changed(t, r, reason)
	x.promote(t, r.label)
	x.settleMedia(t, r.label)
}

// promote grants from the queue as long as there is room: the highest priority
// first, the oldest among equals.
func (x *floors) promote(t *turn, label string) {
	if x.m.cfg.Policy.FloorAlgorithm != policy.FCFS {
		return
	}
	for x.holders(label) < x.m.cfg.Policy.MaxFloorUsers {
		var next *floorRequest
		for _, r := range x.open {
			if r.label == label && r.status == model.FloorAccepted && (next == nil || byTurn(r, next) < 0) {
				next = r
			}
		}
		if next == nil {
			return
		}
		x.grant(t, next)
	}
}

func byTurn(a, b *floorRequest) int {
	return cmp.Or(cmp.Compare(b.priority, a.priority), cmp.Compare(a.order, b.order))
}

// gone ends what one who left held or wanted.
func (x *floors) gone(t *turn, p *model.Participant) {
	for _, r := range slices.Clone(x.open) {
		if r.part == p {
			x.finish(t, r, r.givenUp(), "gone")
		}
	}
}

// enforce brings the requests in line with changed rules: at no revision does
// a floor have more holders than it may.
func (x *floors) enforce(t *turn) {
	p := &x.m.cfg.Policy
	for _, r := range slices.Clone(x.open) {
		switch {
		case p.HasFloor(r.label):
		case r.status == model.FloorGranted:
			x.finish(t, r, model.FloorRevoked, "no floor")
		default:
			x.finish(t, r, model.FloorCancelled, "no floor")
		}
	}
	for _, label := range p.FloorLabels() {
		x.trim(t, label)
		for _, r := range x.open {
			switch {
			case r.label != label:
			case r.status == model.FloorPending && p.FloorAlgorithm == policy.FCFS:
				r.status = model.FloorAccepted
			case r.status == model.FloorAccepted && p.FloorAlgorithm != policy.FCFS:
				r.status = model.FloorPending
			}
		}
		x.promote(t, label)
	}
	x.settle()
	for _, l := range Labels { // also those that lost their floor
		x.settleMedia(t, l[0])
	}
}

// trim revokes the floor from those who got it last, if too many hold it.
func (x *floors) trim(t *turn, label string) {
	for x.holders(label) > x.m.cfg.Policy.MaxFloorUsers {
		var last *floorRequest
		for _, r := range x.open {
			if r.label == label && r.status == model.FloorGranted && (last == nil || r.order > last.order) {
				last = r
			}
		}
		x.finish(t, last, model.FloorRevoked, "fewer may hold it")
	}
}

// mutes reports whether a floor silences a user's medium.
func (x *floors) mutes(user, label string) bool {
	p := &x.m.cfg.Policy
	if !p.FloorMutes || !p.HasFloor(label) {
		return false
	}
	return !slices.ContainsFunc(x.open, func(r *floorRequest) bool {
		return r.label == label && r.part.User == user && r.status == model.FloorGranted
	})
}

// settleMedia opens a floor's medium for its holders and closes it for others.
func (x *floors) settleMedia(t *turn, label string) {
	for _, k := range x.m.tracks.matching(func(k *model.Track) bool { return k.Label == label }) {
		x.m.tracks.hold(t, k, model.HeldByFloor, x.mutes(k.Device.Part.User, label))
	}
}

func (x *floors) changed(t *turn, r *floorRequest, reason string) {
	x.settle()
	s := x.told(r)
	fields := map[string]any{"request": s.Request, "floor": s.Floor, "status": s.Status, "user": s.User}
	if s.Queue > 0 {
		fields["queue"] = s.Queue
	}
	if reason != "" {
		fields["reason"] = reason
	}
	t.event("floor.status", fields)
}

func (x *floors) told(r *floorRequest) api.FloorStatus {
	return api.FloorStatus{
		Request: r.id, Floor: r.label, Status: string(r.status), User: r.part.User, Queue: x.place(r),
	}
}

// place is the position in the queue, 1 is next.
func (x *floors) place(r *floorRequest) int {
	if r.status != model.FloorAccepted {
		return 0
	}
	n := 1
	for _, o := range x.open {
		if o != r && o.label == r.label && o.status == model.FloorAccepted && byTurn(o, r) < 0 {
			n++
		}
	}
	return n
}

// rankOf orders requests for reading: holders, queue, the rest.
var rankOf = map[model.FloorStatus]int{model.FloorGranted: 0, model.FloorAccepted: 1, model.FloorPending: 2}

// settle writes the floors into the model.
func (x *floors) settle() {
	x.m.conf.Floors = nil
	for _, label := range x.m.cfg.Policy.FloorLabels() {
		f := model.Floor{Label: label}
		var mine []*floorRequest
		for _, r := range x.open {
			if r.label == label {
				mine = append(mine, r)
			}
		}
		slices.SortFunc(mine, func(a, b *floorRequest) int {
			return cmp.Or(cmp.Compare(rankOf[a.status], rankOf[b.status]), cmp.Compare(x.place(a), x.place(b)), cmp.Compare(a.order, b.order))
		})
		for _, r := range mine {
			f.Requests = append(f.Requests, model.FloorRequest{ID: r.id, User: r.part.User, Status: r.status, Queue: x.place(r)})
		}
		x.m.conf.Floors = append(x.m.conf.Floors, f)
	}
}

// pastRequests remembers how the last requests ended. Bounded; an older one is
// unknown again.
type pastRequests struct {
	of   map[string]model.FloorStatus
	list []string
}

// rememberRequests is a few hundred: races last seconds.
const rememberRequests = 256

func (o *pastRequests) add(id string, s model.FloorStatus) {
	if o.of == nil {
		o.of = map[string]model.FloorStatus{}
	}
	if len(o.list) == rememberRequests {
		delete(o.of, o.list[0])
		o.list = o.list[1:]
	}
	o.of[id] = s
	o.list = append(o.list, id)
}
