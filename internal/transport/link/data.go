package link

import (
	"parley/internal/base/fault"
	"parley/internal/transport/sctp"
)

// DataConfig says what happens to data channels. The callbacks come from the
// association's goroutines and must not block; data is valid until return.
type DataConfig struct {
	Port       int
	MaxMessage int
	OnOpen     func(id uint16, label string)
	OnMessage  func(id uint16, binary bool, data []byte)
	OnClose    func(id uint16)
}

// startData brings up SCTP when the peer first uses it. An association costs
// several goroutines; most links that negotiated one never open a channel.
func (l *Link) startData() {
	if l.dtls == nil || l.data != nil {
		return // closed meanwhile
	}
	conn := l.dtls.Data()
	if conn == nil {
		return
	}
	d := l.cfg.Data
	l.data = sctp.Start(sctp.Config{
		Conn: conn, Server: true, Port: d.Port, MaxMessage: d.MaxMessage,
		OnOpen: d.OnOpen, OnMessage: d.OnMessage, OnClose: d.OnClose,
	})
}

// SendData queues a message on a channel; it refuses rather than wait.
func (l *Link) SendData(channel uint16, binary bool, data []byte) error {
	if l.data == nil {
		return fault.New(409, "no-data-channel", "no data channel is open")
	}
	return l.data.Send(channel, binary, data)
}
