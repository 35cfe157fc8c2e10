package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"parley/api"
	"parley/internal/auth"
)

// roomCmd is the administration API as a command line.
type roomCmd struct {
	roomServer `embed:""`

	List     roomList     `cmd:"" help:"List conferences."`
	Show     roomShow     `cmd:"" help:"Show one conference and who is in it."`
	Create   roomCreate   `cmd:"" help:"Define a conference, or start one with --start."`
	Set      roomSet      `cmd:"" help:"Change title, schedule or policy."`
	Start    roomStart    `cmd:"" help:"Start a conference."`
	Reopen   roomReopen   `cmd:"" help:"Schedule an ended conference again."`
	End      roomEnd      `cmd:"" help:"End a conference for everybody."`
	Delete   roomDelete   `cmd:"" help:"Forget a conference with its policy and bans."`
	Lock     roomLock     `cmd:"" help:"Let nobody else in."`
	Unlock   roomUnlock   `cmd:"" help:"Let people in again."`
	MuteAll  roomMuteAll  `cmd:"" help:"Mute every microphone; people may open theirs again when asked to."`
	Expel    roomExpel    `cmd:"" help:"Put somebody out."`
	Admit    roomAdmit    `cmd:"" help:"Let people in from the lobby."`
	Topology roomTopology `cmd:"" help:"Show or choose how media flows, for all or for one device."`
	Stats    roomStats    `cmd:"" help:"How media flow: rates, losses, delay and quality by person, or stream by stream."`
	Do       roomDo       `cmd:"" help:"Give any command of docs/api.md with its parameters as JSON."`
}

// roomServer is whom to ask, and as whom.
type roomServer struct {
	URL      string `name:"url" env:"PARLEY_URL" default:"http://127.0.0.1:8080" help:"The server."`
	Token    string `env:"PARLEY_TOKEN" placeholder:"TOKEN" help:"Access token with role owner, better given by the variable than here. Without it, the keys in --data make one."`
	Data     string `name:"data" env:"PARLEY_DATA" default:"./data" type:"path" placeholder:"DIR" help:"The server's data directory, on the same machine."`
	Insecure bool   `help:"Accept a self-signed certificate."`
	JSON     bool   `name:"json" help:"Print the answer as JSON."`
}

// ownToken is how long a token made for one call is good.
const ownToken = 2 * time.Minute

func (s *roomServer) token() (string, error) {
	if s.Token != "" {
		return s.Token, nil
	}
	a, err := openKeys(s.Data)
	if err != nil {
		return "", fmt.Errorf("no --token, and %w", err)
	}
	t, _, err := a.Mint(auth.Claims{Subject: "owner:cli", Role: api.RoleOwner, Service: true}, ownToken)
	return t, err
}

// ask sends one request; the answer is decoded into out unless nil.
func (s *roomServer) ask(method, path string, in, out any) error {
	token, err := s.token()
	if err != nil {
		return err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, strings.TrimSuffix(s.URL, "/")+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: s.Insecure}}}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	return s.answer(resp.StatusCode, b, out)
}

func (s *roomServer) answer(code int, b []byte, out any) error {
	if code > 299 {
		var e api.Error
		if json.Unmarshal(b, &e) != nil || e.Code == 0 {
			return fmt.Errorf("the server answered %d; is --url right?", code)
		}
		return fmt.Errorf("%d %s: %s", e.Code, e.Reason, e.Message)
	}
	if s.JSON && len(b) > 0 {
		_, err := os.Stdout.Write(b)
		return err
	}
	if out == nil || len(b) == 0 {
		return nil
	}
	return json.Unmarshal(b, out)
}

func conf(name string) string { return "/conferences/" + url.PathEscape(name) }

func (s *roomServer) command(room, method string, params any) error {
	var done api.Done
	if err := s.ask("POST", conf(room)+"/commands/"+method, params, &done); err != nil || s.JSON {
		return err
	}
	if done.Already {
		fmt.Println("it was so already")
	}
	return nil
}

// table prints rows with a head.
func table(head string, rows [][]string) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range rows {
		for i := range r {
			if r[i] == "" {
				r[i] = "–"
			}
		}
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush()
}

func definitions(list ...api.Definition) {
	var rows [][]string
	for _, d := range list {
		when := d.StartsAt
		if d.State == api.StateEnded {
			when = d.EndedAt
		}
		rows = append(rows, []string{d.URI, d.State, fmt.Sprint(d.Users), when, d.Title})
	}
	table("NAME\tSTATE\tPEOPLE\tWHEN\tTITLE", rows)
}

type roomList struct {
	State  string `placeholder:"STATE" help:"Only scheduled, active or ended; several with commas."`
	Search string `placeholder:"TEXT" help:"Only with this in name or title."`
	Limit  int    `default:"100" help:"At most so many."`
}

func (c *roomList) Run(s *roomServer) error {
	q := url.Values{"limit": {fmt.Sprint(c.Limit)}}
	if c.State != "" {
		q.Set("state", c.State)
	}
	if c.Search != "" {
		q.Set("q", c.Search)
	}
	var out api.ConferenceList
	if err := s.ask("GET", "/conferences?"+q.Encode(), nil, &out); err != nil || s.JSON {
		return err
	}
	definitions(out.Conferences...)
	if more := out.Total - len(out.Conferences); more > 0 {
		fmt.Printf("and %d more\n", more)
	}
	return nil
}

type roomArg struct {
	Room string `arg:"" help:"The conference's name."`
}

type roomShow struct{ roomArg }

func (c *roomShow) Run(s *roomServer) error {
	var out api.ConferenceDetail
	if err := s.ask("GET", conf(c.Room), nil, &out); err != nil || s.JSON {
		return err
	}
	definitions(out.Definition)
	if out.Live == nil {
		return nil
	}
	var people api.Participants
	if err := s.ask("GET", conf(c.Room)+"/participants", nil, &people); err != nil {
		return err
	}
	var rows [][]string
	for _, p := range people.Participants {
		rows = append(rows, []string{p.Part, p.Name, string(p.Role), p.State, p.JoinedAt, p.User})
	}
	fmt.Println()
	table("ID\tPERSON\tROLE\tSTATE\tSINCE\tIDENTITY", rows)
	return nil
}

type roomCreate struct {
	Room   string `arg:"" optional:"" help:"Name; without one the server makes it up."`
	Title  string `placeholder:"TEXT" help:"Shown to people."`
	Starts string `placeholder:"TIME" help:"Such as 2031-05-06T09:00:00Z."`
	Ends   string `placeholder:"TIME" help:"Likewise."`
	Lobby  bool   `help:"Newcomers wait until somebody lets them in."`
	E2EE   bool   `name:"e2ee" help:"Media is encrypted end to end."`
	Start  bool   `help:"Start it now."`
}

func (c *roomCreate) Run(s *roomServer) error {
	in := api.CreateConference{URI: c.Room, Title: c.Title, StartsAt: c.Starts, EndsAt: c.Ends, Start: c.Start}
	if c.Lobby {
		in.Policy.Lobby = &c.Lobby
	}
	if c.E2EE {
		in.Policy.E2EE = &c.E2EE
	}
	var out api.Definition
	if err := s.ask("POST", "/conferences", in, &out); err != nil || s.JSON {
		return err
	}
	definitions(out)
	return nil
}

type roomSet struct {
	roomArg
	Title  *string `placeholder:"TEXT" help:"New title."`
	Starts *string `placeholder:"TIME" help:"New start."`
	Ends   *string `placeholder:"TIME" help:"New end."`
	Policy string  `placeholder:"JSON" help:"Members of the policy to change, such as '{\"lobby\":true}'."`
}

func (c *roomSet) Run(s *roomServer) error {
	in := api.PatchConference{Title: c.Title, StartsAt: c.Starts, EndsAt: c.Ends}
	if c.Policy != "" {
		in.Policy = new(api.Policy)
		if err := json.Unmarshal([]byte(c.Policy), in.Policy); err != nil {
			return fmt.Errorf("--policy: %w", err)
		}
	}
	var out api.Definition
	if err := s.ask("PATCH", conf(c.Room), in, &out); err != nil || s.JSON {
		return err
	}
	definitions(out)
	return nil
}

type roomStart struct{ roomArg }

func (c *roomStart) Run(s *roomServer) error {
	return s.command(c.Room, api.ConferenceStart, api.StartParams{})
}

type roomReopen struct {
	roomArg
	Starts string `placeholder:"TIME" help:"Such as 2031-05-06T09:00:00Z."`
	Start  bool   `help:"Start it now."`
}

func (c *roomReopen) Run(s *roomServer) error {
	var out api.Definition
	if err := s.ask("POST", conf(c.Room)+"/reopen", api.ReopenConference{StartsAt: c.Starts, Start: c.Start}, &out); err != nil || s.JSON {
		return err
	}
	definitions(out)
	return nil
}

type roomEnd struct {
	roomArg
	Reason string        `placeholder:"TEXT" help:"Told to everybody."`
	After  time.Duration `placeholder:"TIME" help:"Announce it, and end it after this time."`
}

func (c *roomEnd) Run(s *roomServer) error {
	return s.command(c.Room, api.ConferenceEnd, api.EndParams{Reason: c.Reason, AfterS: int(c.After / time.Second)})
}

type roomDelete struct {
	roomArg
	End bool `help:"End it first if it is active."`
}

func (c *roomDelete) Run(s *roomServer) error {
	path := conf(c.Room)
	if c.End {
		path += "?end=true"
	}
	return s.ask("DELETE", path, nil, nil)
}

type roomLock struct{ roomArg }

func (c *roomLock) Run(s *roomServer) error {
	return s.command(c.Room, api.ConferenceLock, api.LockParams{})
}

type roomUnlock struct{ roomArg }

func (c *roomUnlock) Run(s *roomServer) error {
	return s.command(c.Room, api.ConferenceUnlock, struct{}{})
}

type roomMuteAll struct{ roomArg }

func (c *roomMuteAll) Run(s *roomServer) error {
	return s.command(c.Room, api.TrackMute, api.MuteManyParams{Medium: "audio", Scope: "all"})
}

type roomExpel struct {
	roomArg
	Person string `arg:"" help:"Identity or ID of room show."`
	Reason string `placeholder:"TEXT" help:"Told to them."`
	Ban    bool   `help:"Do not let them back in."`
}

func (c *roomExpel) Run(s *roomServer) error {
	quiet := *s
	quiet.JSON = false
	var people api.Participants
	if err := quiet.ask("GET", conf(c.Room)+"/participants", nil, &people); err != nil {
		return err
	}
	for _, p := range people.Participants {
		if p.User == c.Person || p.Part == c.Person {
			return s.command(c.Room, api.ParticipantExpel, api.ExpelParams{Part: p.Part, Reason: c.Reason, Ban: c.Ban})
		}
	}
	return errors.New("nobody of that identity is in the conference")
}

type roomAdmit struct {
	roomArg
	Persons []string `arg:"" optional:"" help:"IDs of room show; none for all."`
}

func (c *roomAdmit) Run(s *roomServer) error {
	return s.command(c.Room, api.LobbyAdmit, api.AdmitParams{Parts: c.Persons, All: len(c.Persons) == 0})
}

type roomDo struct {
	roomArg
	Method string `arg:"" help:"Such as participant.setRole."`
	Params string `arg:"" default:"{}" help:"JSON."`
}

func (c *roomDo) Run(s *roomServer) error {
	if !json.Valid([]byte(c.Params)) {
		return errors.New("the parameters are not JSON")
	}
	s.JSON = true
	return s.command(c.Room, c.Method, json.RawMessage(c.Params))
}
