// Package audiomix mixes the audio of a conference: serialised RTP in, one mix
// without itself for each listener out, as serialised RTP (RFC 7667, section
// 3.6.1; rule MIX), and the translator of one source (section 3.2.1.3; rule MTR).
//
// A slot is 20 ms. In each, every source's jitter buffer moves on; the loudest
// few are chosen by the levels their packets announce (RFC 6464), before anything
// is decoded, so that a silent source costs a comparison; the chosen ones are
// decoded, brought to 48 kHz and added; and each class of listeners (everybody
// who does not speak, and each one who does, by codec) has one encoder.
//
// It is not the clock (the room ticks), not the link, and decides nothing about
// who hears a mix. No goroutines, no locks, no reading of clocks: all calls of a
// Mixer come from one goroutine and tell the time.
package audiomix
