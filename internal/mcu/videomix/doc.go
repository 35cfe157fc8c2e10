// Package videomix is the video half of a conference's mixer: it puts coded
// pictures together from packets, has them decoded in processes of their own,
// says what is shown where, has canvases drawn and encoded once for all outputs
// that can share them, and cuts the coded pictures into packets again.
//
// In a composed picture everybody sees everybody, themselves included: only so
// can one encoder serve all. Layouts with one prominent place do not show a
// listener themselves there.
//
// It never handles pixels: those stay in the processes (package videochild).
//
// Threading: methods of mcu.Half are called from the room's goroutine; results of
// decoders are fetched there, coded pictures come on a goroutine of the
// composer's. One lock per half guards its state; it is held for microseconds,
// and never while a process is waited for.
package videomix
