package testpeer

import (
	"errors"
	"reflect"
	"time"
	"unsafe"

	"github.com/pion/webrtc/v4"
)

// checkInterval replaces pion's 200 ms between connectivity checks, which alone
// would add about 200 ms to every join against an ICE-lite server (scenario L1).
const checkInterval = 20 * time.Millisecond

// hurry sets the interval of the ICE agent of a PeerConnection whose checks
// have not begun. pion/ice has an option for it that pion/webrtc does not pass
// on, hence the reach through unexported fields of the pinned version; the
// self-test fails if they move.
func hurry(pc *webrtc.PeerConnection) error {
	v := reflect.ValueOf(pc.SCTP().Transport().ICETransport())
	for _, name := range []string{"gatherer", "agent", "checkInterval"} {
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return errors.New("testpeer: no ICE agent yet")
		}
		if v = v.FieldByName(name); !v.IsValid() {
			return errors.New("testpeer: pion changed field " + name)
		}
	}
	if v.Type() != reflect.TypeFor[time.Duration]() {
		return errors.New("testpeer: pion changed the interval's type")
	}
	*(*time.Duration)(unsafe.Pointer(v.UnsafeAddr())) = checkInterval
	return nil
}
