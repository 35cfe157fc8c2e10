package control

// Lease are the parameters of LeaseLost: a lease of this epoch was seen.
type Lease struct{ Epoch uint64 }

// Superseded reports whether another node has taken the conference over.
func (m *Machine) Superseded() bool { return m.superseded }

// leaseLost ends this node's part when somebody owns the conference under a
// newer epoch: nothing is committed here any more, and everybody is sent to the
// new owner, so that there is one history. An epoch that is not newer is old news.
func leaseLost(m *Machine, t *turn, l Lease) (any, error) {
	if l.Epoch <= m.cfg.Epoch || m.superseded {
		return already(), nil
	}
	res, err := nodeStopping(m, t, Stopping{Reason: "moved"})
	m.superseded = true
	return res, err
}
