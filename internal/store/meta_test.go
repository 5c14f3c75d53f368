package store

import (
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/fault"
)

const (
	lotusFile    = `{"ID":"L","Weight":10,"CanSeal":false,"CanStore":true,"MaxStorage":0}`
	damoclesFile = `{"ID":"D","Name":"n","Path":"","Meta":null,"Strict":true,"ReadOnly":false,"Weight":2,"AllowMiners":[],"DenyMiners":[],"Plugin":"","PluginName":""}`
)

func parse(t *testing.T, text string) *Meta {
	t.Helper()
	m, err := ParseMeta([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func compactMeta(t *testing.T, m *Meta) string {
	t.Helper()
	raw, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var v json.RawMessage = raw
	raw, err = json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestWriter(t *testing.T) {
	for text, want := range map[string]Writer{
		lotusFile: ByLotus, damoclesFile: ByDamocles, `{}`: Nobody, `{"ID":"x","Weight":3}`: Nobody,
		`{"canstore":true,"NAME":"x"}`: ByBoth,
	} {
		if got := parse(t, text).Writer(); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// What each of the two programs would refuse, and what it takes.
func TestMetaAsEachReadsIt(t *testing.T) {
	for _, tt := range []struct{ text, lotus, damocles string }{
		{lotusFile, "", ""},
		{damoclesFile, "", ""},
		{`{"AllowMiners":["t01000"]}`, "", "AllowMiners is a JSON string"},
		{`{"DenyMiners":[1000]}`, "DenyMiners is a JSON number", ""},
		{`{"AllowMiners":[],"DenyMiners":null}`, "", ""},
		{`{"Weight":-1}`, "Weight is a JSON number -1", "Weight is a JSON number -1"},
		{`{"Strict":"yes"}`, "", "Strict is a JSON string"},
		{`{"CanSeal":1}`, "CanSeal is a JSON number", ""},
	} {
		m := parse(t, tt.text)
		_, lotus := m.Lotus()
		_, damocles := m.Damocles()
		for _, c := range []struct {
			who  string
			err  error
			want string
		}{{"lotus", lotus, tt.lotus}, {"damocles", damocles, tt.damocles}} {
			if (c.err == nil) != (c.want == "") || (c.err != nil && !strings.Contains(c.err.Error(), c.want)) {
				t.Errorf("%s, %s: got %v, want %q", tt.text, c.who, c.err, c.want)
			}
		}
	}
}

func TestMetaThatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		``: "ends too early", `{"ID":`: "ends too early", `[]`: "not an object", `null`: "not an object",
		`{"ID":"x"}{}`: "something follows", `{"ID":x}`: "not JSON", `{"ID":"x"`: "ends too early",
	} {
		if _, err := ParseMeta([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, _, err := ReadMeta(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
}

func TestShare(t *testing.T) {
	const lists = `,"Groups":null,"AllowTo":null,"AllowTypes":null,"DenyTypes":null,`
	for name, tt := range map[string]struct {
		have   string // "" for no file
		shared Shared
		want   string // "" for unchanged
		notes  string
	}{
		"no file":                            {"", Shared{}, `{"ID":"new","Weight":10,"CanSeal":false,"CanStore":true,"MaxStorage":0` + lists + `"AllowMiners":null,"DenyMiners":null}`, ""},
		"no file, read-only":                 {"", Shared{ReadOnly: true}, `{"ID":"new","Weight":10,"CanSeal":false,"CanStore":false,"MaxStorage":0` + lists + `"AllowMiners":null,"DenyMiners":null}`, ""},
		"no file, with lists":                {"", Shared{Allow: []abi.ActorID{1000}, Deny: []abi.ActorID{7, 8}}, `{"ID":"new","Weight":10,"CanSeal":false,"CanStore":true,"MaxStorage":0` + lists + `"AllowMiners":["t01000"],"DenyMiners":["t07","t08"]}`, ""},
		"lotus's own":                        {lotusFile, Shared{Allow: []abi.ActorID{1}}, "", ""},
		"lotus's own, with its lists":        {`{"ID":"L","CanSeal":false,"CanStore":true,"MaxStorage":0,"Weight":0,"AllowMiners":["f01000"]}`, Shared{}, "", ""},
		"lotus's own, that stores nothing":   {strings.Replace(lotusFile, "true", "false", 1), Shared{}, "", "lotus-read-only"},
		"lotus's own, read-only in damocles": {lotusFile, Shared{ReadOnly: true}, "", "damocles-read-only"},
		"lotus's own, scanned":               {lotusFile, Shared{Scanned: true, Name: "L"}, "", ""},
		"lotus's own, without ID, scanned": {`{"CanSeal":false,"CanStore":true,"MaxStorage":0,"Weight":10}`, Shared{Scanned: true, Name: "/s"},
			`{"CanSeal":false,"CanStore":true,"MaxStorage":0,"Weight":10,"Name":"/s","ID":"new"}`, ""},
		"damocles's, scanned": {damoclesFile, Shared{Scanned: true, Name: "n"},
			strings.TrimSuffix(damoclesFile, "}") + `,"CanSeal":false,"CanStore":true,"MaxStorage":0}`, ""},
		"damocles's, scanned, read-only": {`{"Name":"n","ReadOnly":true,"Weight":0}`, Shared{Scanned: true, Name: "n"},
			`{"Name":"n","ReadOnly":true,"Weight":1,"ID":"new","CanSeal":false,"CanStore":false,"MaxStorage":0}`, ""},
		"damocles's, not scanned, with a list": {`{"Name":"n","X":{"b":1,"a":[2]},"AllowMiners":[1000]}`, Shared{},
			`{"Name":"n","X":{"b":1,"a":[2]},"AllowMiners":["t01000"],"ID":"new","Weight":10,"CanSeal":false,"CanStore":true,"MaxStorage":0}`, ""},
		"another spelling, the last one wins": {`{"id":"","ID":"x","canstore":true,"CanSeal":false,"MaxStorage":0,"Weight":1}`, Shared{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var m *Meta
			if tt.have != "" {
				m = parse(t, tt.have)
			}
			tt.shared.Dir = "/s"
			tt.shared.NewID = func() (string, error) { return "new", nil }
			out, changed, notes, err := m.Share(tt.shared)
			if err != nil {
				t.Fatal(err)
			}
			if changed != (tt.want != "") {
				t.Errorf("changed is %t", changed)
			}
			want := tt.want
			if want == "" {
				want = tt.have
			}
			if got := compactMeta(t, out); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if m != nil && compactMeta(t, m) != tt.have {
				t.Error("the old one was changed")
			}
			codes := ""
			for _, n := range notes {
				codes += n.Code
			}
			if codes != tt.notes {
				t.Errorf("the notes are %q, want %q", codes, tt.notes)
			}
			checkShared(t, m, out, tt.shared)
		})
	}
}

// checkShared: lotus can read it, damocles can if it does, and means the same.
func checkShared(t *testing.T, m, out *Meta, s Shared) {
	t.Helper()
	if l, err := out.Lotus(); err != nil || l.ID == "" {
		t.Errorf("lotus: %v, %v", l, err)
	}
	if !s.Scanned {
		return
	}
	old, err := m.Damocles()
	if err != nil {
		t.Fatal(err)
	}
	is, err := out.Damocles()
	if err != nil {
		t.Fatal(err)
	}
	if is.StoreName(s.Dir) != old.StoreName(s.Dir) || max(is.Weight, 1) != max(old.Weight, 1) || is.ReadOnly != old.ReadOnly || is.Strict != old.Strict {
		t.Errorf("damocles reads %+v, read %+v", is, old)
	}
	again, changed, _, err := out.Share(s)
	if err != nil || changed {
		t.Errorf("a second time it is changed to %v, %v", again, err)
	}
}

func TestShareRefuses(t *testing.T) {
	for _, tt := range []struct {
		have    string
		scanned bool
		want    string
	}{
		{`{"ID":"x","AllowMiners":[1000]}`, true, "AllowMiners lists miners"},
		{`{"ID":"x","DenyMiners":["t01000"]}`, true, "DenyMiners lists miners"},
		{`{"ID":"x","AllowMiners":"t01000"}`, true, "AllowMiners lists miners"},
		{`{"ID":"x","AllowMiners":[{}]}`, false, "AllowMiners is no list of miners"},
		{`{"ID":"x","AllowMiners":["f3abc"]}`, false, "AllowMiners is no list of miners"},
		{`{"ID":7}`, false, "the ID is not a text"},
		{`{"ID":"x","MaxStorage":"1"}`, false, "lotus cannot read it: MaxStorage"},
		{`{"ID":"x","Strict":1}`, true, "damocles cannot read it: Strict"},
	} {
		_, _, _, err := parse(t, tt.have).Share(Shared{Dir: "/s", Name: "x", Scanned: tt.scanned, NewID: func() (string, error) { return "new", nil }})
		if err == nil || !strings.Contains(err.Error(), tt.want) || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v (hint %q), want %q", tt.have, err, fault.HintOf(err), tt.want)
		}
	}
}

func FuzzParseMeta(f *testing.F) {
	for _, text := range []string{lotusFile, damoclesFile, `{"ID":"","AllowMiners":[1]}`, `{`, `{"a":1}x`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseMeta(raw)
		if err != nil {
			return
		}
		once, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseMeta(once)
		if err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice, _ := again.Encode(); string(twice) != string(once) {
			t.Errorf("%s, then %s", once, twice)
		}
	})
}
