package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"parley/api"
)

// roomTopology is docs/topologies.md as a command.
type roomTopology struct {
	roomArg
	Name             string `arg:"" optional:"" help:"${topologies}; without one, how it is now."`
	Device           string `placeholder:"ID" help:"Only for this device, of room topology; with a person's ID before it and a slash if several have it. With the name as-the-room, its own choice is taken away."`
	AllowDiscouraged bool   `help:"Take a topology that the standards advise against."`
}

// topologies are the names for people.
func topologies() string { return strings.Join(api.Topologies(), ", ") }

// asTheRoom is the name that takes a device's own choice away.
const asTheRoom = "as-the-room"

// Run implements the command.
func (c *roomTopology) Run(s *roomServer) error {
	path := conf(c.Room) + "/topology"
	in := api.PutTopology{Topology: c.Name, AllowDiscouraged: c.AllowDiscouraged}
	if c.Device == "" {
		var out api.Topology
		method, body := "GET", any(nil)
		if c.Name != "" {
			method, body = "PUT", in
		}
		if err := s.ask(method, path, body, &out); err != nil || s.JSON {
			return err
		}
		showTopology(out)
		return nil
	}
	if c.Name == "" {
		return errors.New("say which topology the device is to have, or " + asTheRoom)
	}
	if c.Name == asTheRoom {
		in.Topology = ""
	}
	one, err := c.find(s)
	if err != nil {
		return err
	}
	var out api.LegManner
	path = conf(c.Room) + "/participants/" + url.PathEscape(one.Part) + "/devices/" + url.PathEscape(one.Device) + "/topology"
	if err := s.ask("PUT", path, in, &out); err != nil || s.JSON {
		return err
	}
	manners(out)
	return nil
}

// find looks up whose device it is.
func (c *roomTopology) find(s *roomServer) (api.LegManner, error) {
	quiet := *s
	quiet.JSON = false
	var all api.Topology
	if err := quiet.ask("GET", conf(c.Room)+"/topology", nil, &all); err != nil {
		return api.LegManner{}, err
	}
	var found []api.LegManner
	for _, d := range all.Devices {
		if d.Device == c.Device || d.Part+"/"+d.Device == c.Device {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return api.LegManner{}, errors.New("no such device is in the conference")
	case 1:
		return found[0], nil
	}
	return api.LegManner{}, errors.New("several people have a device of that name; put the person's ID and a slash before it")
}

func showTopology(t api.Topology) {
	fmt.Print(t.Topology)
	if t.AllowDiscouraged {
		fmt.Print(", discouraged and wanted")
	}
	fmt.Println()
	if t.Lacking != "" {
		fmt.Println("A mixer would need:", t.Lacking)
	}
	if len(t.Devices) > 0 {
		fmt.Println()
		manners(t.Devices...)
	}
}

func manners(list ...api.LegManner) {
	var rows [][]string
	for _, d := range list {
		rows = append(rows, []string{d.Part, d.Device, d.User, d.Topology, d.Manner, d.Audio, d.Video})
	}
	table("PERSON\tDEVICE\tIDENTITY\tOWN CHOICE\tSERVED\tSOUND\tPICTURE", rows)
}
