package control

import (
	"parley/internal/base/ids"
	"parley/internal/conference/model"
	"parley/internal/conference/policy"
)

// More work for the machine's owner.

// ToRoom gives a fact to another conference of this node, which may have ended.
type ToRoom struct {
	Conf   ids.Conference
	Fact   string
	Params any
}

// OpenSidebar makes the machine of a sidebar and gives it SidebarOpened. With
// Show, SidebarShown is wanted whenever its document has changed.
type OpenSidebar struct {
	model.Place
	Main    model.Place
	Title   string
	Creator string
	Policy  policy.Policy
	Show    bool
}

// Progress is a provisional answer to the request being run.
type Progress struct {
	Code   int
	Result any
}

// AskOffer wants a client to offer again although nothing waits for a section.
type AskOffer struct {
	MS     ids.MediaSession
	Reason string
}

func (ToRoom) effect()      {}
func (OpenSidebar) effect() {}
func (Progress) effect()    {}
func (AskOffer) effect()    {}
