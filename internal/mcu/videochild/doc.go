// Package videochild runs the video codecs in processes of their own, because
// they are C and what they read comes from strangers (docs/adr, video in
// processes of its own):
//
//   - a decoder process per shown source takes coded pictures over a socket pair
//     and leaves frames in shared memory (a film, sealed against shrinking);
//   - a composer process per conference maps the films read-only, draws,
//     encodes, and sends coded pictures back.
//
// A process that dies or stops answering is started again within a second, and
// its owner is told so that it asks for a keyframe. Processes have no sockets
// but the pair, no environment, a lower priority than the server, limits on
// memory and files, and no core dumps.
//
// The processes are this same binary: importing the package makes it answer to
// the hidden argument "video-worker" before main runs, in test binaries, too.
//
// Threading: Decoder and Composer are safe for concurrent use; their callbacks
// run on a goroutine of theirs and must return soon.
package videochild
