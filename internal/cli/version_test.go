package cli

import (
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionOf(t *testing.T) {
	at := func(revision, modified string) *debug.BuildInfo {
		return &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: modified}}}
	}
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for _, tt := range []struct {
		release string
		info    *debug.BuildInfo
		want    string
	}{
		{"", nil, nextRelease},
		{"", &debug.BuildInfo{}, nextRelease},
		{"", at(commit, "false"), nextRelease + "+git.0123456789ab"},
		{"1.2.3", at(commit, "false"), "1.2.3+git.0123456789ab"},
		{"1.2.3", at(commit, "true"), "1.2.3+git.0123456789ab.dirty"},
		{"1.2.3", nil, "1.2.3"},
		{"", at("0123", "false"), nextRelease + "+git.0123"},
	} {
		if got := versionOf(tt.release, tt.info); got != tt.want {
			t.Errorf("release %q: got %s, want %s", tt.release, got, tt.want)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	w := newWorld(t)
	w.run("--version").exits(0).says("damocles-manager " + version() + "\n")
	w.run("--version", "more").exits(2).says("takes no arguments")
	r := w.run("--json", "--version").exits(0)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	var line struct{ Type, Version, Go, Platform string }
	if err := json.Unmarshal([]byte(lines[0]), &line); err != nil {
		t.Fatal(err)
	}
	if line.Type != "version" || line.Version != version() || line.Go == "" || line.Platform == "" {
		t.Errorf("got %+v", line)
	}
	if len(lines) != 2 || lines[1] != `{"type":"summary","count":1}` {
		t.Errorf("got %s", r.out)
	}
}
