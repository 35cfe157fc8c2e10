// Package notify is the notifier of the conference event package (RFC 6665,
// RFC 4575) without its wire: which subscriber gets which document when, with
// which version, and when its subscription ends.
//
// Subscribers who may see the same are one class of view. A class keeps its
// present rows, encoded, and a journal of what they were before; a change is
// built, compared and encoded once per class, form and position in the journal,
// and only the version (and what one is told about itself) is put in for each
// subscriber. What a change costs depends on the rows it touched, not on the
// roster.
//
// A [Notifier] belongs to the goroutine that drives its conference; it takes
// the time as a parameter and returns what is to be sent. A WebSocket carries
// the JSON form; a SIP dialog will carry the XML form and [Notice.Life].
package notify
