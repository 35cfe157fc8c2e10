package control

import "parley/internal/conference/model"

// FactsOf shows what a leg's manner hangs on.
func (m *Machine) FactsOf(d *model.Device) LegFacts { return m.topo.facts(d) }

// Served lists the devices that have a manner.
func (m *Machine) Served() []*model.Device { return m.topo.served() }
