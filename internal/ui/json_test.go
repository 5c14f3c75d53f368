package ui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/migrate"
)

// Every line of --json is one JSON object, and nothing else is on stdout.
func TestJSONLines(t *testing.T) {
	s := newScreen(t, Options{JSON: true, Verbose: true})
	s.Printf("text %d\n", 1)
	for _, action := range []migrate.Action{migrate.Write, migrate.Conflict, migrate.Missing} {
		s.Sector(full(action))
	}
	hard := event(1, migrate.Failed)
	hard.Reason = "a <b> & \"c\"\nd\te \xff é"
	s.Sector(hard)
	s.Summary("import", &migrate.Report{Written: 1})
	s.Notice("on stderr")
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(s.out.String(), "\n"), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines:\n%s", len(lines), s.out.String())
	}
	for i, line := range lines {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		if want := []string{"sector", "sector", "sector", "sector", "summary"}[i]; v["type"] != want {
			t.Errorf("line %d is of type %v, want %s", i, v["type"], want)
		}
	}
	const first = `{"type":"sector","miner":"f01000","number":5,"action":"written","state":"Proving","upgraded":true,"reason":"why","hint":"do this",` +
		`"differences":[{"field":"F","have":"1","want":"2"}],"notes":[{"code":"c","text":"note this"}]}`
	if lines[0] != first {
		t.Errorf("got  %s\nwant %s", lines[0], first)
	}
	if !strings.Contains(lines[3], "a <b> & ") {
		t.Errorf("it is escaped for HTML: %s", lines[3])
	}
}

// A stdout that is closed, as by `| head`, shows at the end.
func TestBrokenStdout(t *testing.T) {
	for _, o := range []Options{{}, {JSON: true}} {
		u := New(broken{}, &bytes.Buffer{}, o)
		for n := range uint64(2000) {
			u.Sector(full(migrate.Failed))
			_ = n
		}
		if err := u.Flush(); !errors.Is(err, errBroken) {
			t.Errorf("got %v", err)
		}
	}
}

var errBroken = errors.New("broken pipe")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// It may be used from several goroutines: no line is torn.
func TestManyAtOnce(t *testing.T) {
	s := newScreen(t, Options{JSON: true})
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			for n := range uint64(200) {
				s.Sector(full(migrate.Write))
				s.Notice(fmt.Sprint("notice ", n))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(&s.out)
	n := 0
	for ; dec.More(); n++ {
		var e migrate.Event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
	}
	if n != 1600 || strings.Count(s.stderr.String(), "\n") != 1600 {
		t.Errorf("%d lines, and on stderr %d", n, strings.Count(s.stderr.String(), "\n"))
	}
}
