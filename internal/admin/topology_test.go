package admin

import "testing"

func TestTopologyOfAConference(t *testing.T) {
	h := open(t)
	h.want(404, "GET", "/conferences/standup/topology", "")
	h.want(404, "PUT", "/conferences/standup/topology", `{"topology":"switch"}`)
	h.want(201, "POST", "/conferences", `{"uri":"standup"}`)
	if m := h.want(200, "GET", "/conferences/standup/topology", ""); m["topology"] != "auto" {
		t.Fatalf("%v", m)
	}
	h.want(409, "POST", "/conferences", `{"uri":"other","policy":{"topology":"asymmetric"}}`)
	h.want(409, "PATCH", "/conferences/standup", `{"policy":{"topology":"asymmetric"}}`)
	m := h.want(409, "PUT", "/conferences/standup/topology", `{"topology":"video-switching-mcu"}`)
	if m["code"] != 488.0 || m["reason"] != "topology-discouraged" || m["data"].(object)["recommended"] != "switch" {
		t.Fatalf("%v", m)
	}
	h.want(400, "PUT", "/conferences/standup/topology", `{"topology":"star"}`)
	h.want(200, "PATCH", "/conferences/standup/topology", `{"topology":"video-switching-mcu","allowDiscouraged":true}`)
	h.want(200, "POST", "/conferences/standup/commands/conference.start", `{}`)
	ana := h.join("standup", "sip:ana@x")
	m = h.want(200, "GET", "/conferences/standup/topology", "")
	d := m["devices"].([]any)[0].(object)
	if m["topology"] != "video-switching-mcu" || m["allowDiscouraged"] != true || d["manner"] != "video-switching-mcu" || d["video"] != "slots" {
		t.Fatalf("%v", m)
	}
	h.want(503, "PUT", "/conferences/standup/topology", `{"topology":"mixer"}`)
	m = h.want(200, "PUT", "/conferences/standup/topology", `{"topology":"sfu"}`)
	if m["topology"] != "sfu" || m["devices"].([]any)[0].(object)["manner"] != "sfu" {
		t.Fatalf("%v", m)
	}
	one := "/conferences/standup/participants/" + ana.Part + "/devices/d1/topology"
	h.want(404, "GET", "/conferences/standup/participants/"+ana.Part+"/devices/none/topology", "")
	h.want(404, "PUT", "/conferences/standup/participants/"+ana.Part+"/devices/none/topology", `{"topology":"switch"}`)
	h.want(409, "PUT", one, `{"topology":"asymmetric"}`)
	if m = h.want(200, "PUT", one, `{"topology":"switch"}`); m["manner"] != "switch" || m["topology"] != "switch" {
		t.Fatalf("%v", m)
	}
	if m = h.want(200, "PATCH", one, `{"topology":""}`); m["manner"] != "sfu" || m["topology"] != nil {
		t.Fatalf("%v", m)
	}
	if m = h.want(200, "GET", one, ""); m["audio"] != "each" {
		t.Fatalf("%v", m)
	}
	h.want(200, "POST", "/conferences/standup/commands/conference.setTopology", `{"topology":"switch"}`)
	h.want(200, "POST", "/conferences/standup/commands/conference.end", `{}`)
	h.eventually(func() bool { return h.want(200, "GET", "/conferences/standup", "")["state"] == "ended" })
	if m = h.want(200, "GET", "/conferences/standup/topology", ""); m["topology"] != "switch" {
		t.Fatalf("not kept: %v", m)
	}
}
