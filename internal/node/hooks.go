package node

import (
	"fmt"

	"parley/api"
	"parley/internal/base/ids"
	"parley/internal/conference/control"
	"parley/internal/webhook"
)

// openHooks makes the sender of webhooks; without URLs it does nothing.
func (n *Node) openHooks() error {
	var secret ids.Secret
	if len(n.cfg.WebhookURL) > 0 {
		var err error
		if secret, err = n.cfg.WebhookSecret(); err != nil {
			return fmt.Errorf("--webhook-secret-file: %w", err)
		}
	}
	n.hooks = webhook.New(webhook.Config{URLs: n.cfg.WebhookURL, Secret: secret, Loopback: n.cfg.WebhookLoopback, Log: n.log})
	return nil
}

// observer is what the focus tells of every event; nil without webhooks, so that
// none is encoded for nobody.
func (n *Node) observer() func(string, control.Event) {
	if len(n.cfg.WebhookURL) == 0 {
		return nil
	}
	return func(uri string, e control.Event) {
		n.hooks.Send(api.WebhookEvent{Event: e.Name, Conference: uri, Conf: string(e.Conf), At: e.At, Body: e.JSON()})
	}
}
