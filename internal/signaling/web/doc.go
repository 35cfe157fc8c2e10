// Package web is the HTTP surface: it puts pages, WebSocket, WHIP/WHEP, token
// exchange and the status of rooms under their addresses, and adds what all
// answers share. It holds no state and decides nothing; /healthz, listeners and
// their time-outs are the node's.
package web
