package model

import "strconv"

// aliases numbers those who do not want to be known. A number stays with its
// person as long as the conference lasts: rows come and go, but what names
// somebody elsewhere ("put out by …") must not tell later who it was.
type aliases map[string]int

// Hide makes a participant anonymous: all but moderators see an alias. The rows
// that name the user (see [Participant.Names]) change with it.
func (c *Conference) Hide(p *Participant) {
	if c.hidden == nil {
		c.hidden = aliases{}
	}
	if c.hidden[p.User] == 0 {
		c.hidden[p.User] = len(c.hidden) + 1
	}
	p.Anonymous = true
}

// Alias returns the number of one who is, or was, anonymous here; zero: known.
func (c *Conference) Alias(user string) int { return c.hidden[user] }

// Names reports whether the participant's row names a user: who put a device
// out, referred it, or brought it from another conference.
func (p *Participant) Names(user string) bool {
	for _, d := range p.Devices {
		if d.GoneBy == user || d.MovedBy == user || d.Referred != nil && d.Referred.By == user {
			return true
		}
	}
	return false
}

// AliasURI is the entity that goes with a number (RFC 4575, section 5.6.1).
func AliasURI(n int) string { return "sip:anonymous" + strconv.Itoa(n) + "@anonymous.invalid" }
