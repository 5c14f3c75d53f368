package cli

import (
	"bytes"
	"errors"
	"testing"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/testkit"
	"damocles-manager/internal/ui"
)

// Some web server on damocles-manager's port does not keep users from a home
// that nobody has open.
func TestWebServerOnTheDefaultPort(t *testing.T) {
	w := newWorld(t)
	home := w.home("home")
	web := testkit.Damocles(t, testkit.DamoclesOptions{Options: testkit.Options{
		Fail: func(string, int) testkit.Failure { return testkit.HTML },
	}})
	w.addr = web.URL
	w.sectorsCmd(home, "list").exits(0).says("is no damocles-manager", "working on the home", "s-t01000-118")
	// named on the command line, it is what the user means, and wrong
	w.sectorsCmd(home, "list", "--listen", web.URL).exits(1).says("ask what listens at")
	// nor is a home made beside it, which may be the daemon's own behind a proxy
	w.sectorsCmd(w.path("none"), "import", "--repo", w.repo("lotus")).exits(1).says("ask what listens at")
}

// Exit code 5 promises that nothing was changed.
func TestRefusedHalfWayIsAFailure(t *testing.T) {
	a := &app{ui: ui.New(&bytes.Buffer{}, &bytes.Buffer{}, ui.Options{})}
	refusal := fault.Refuse("restore it", "the database is corrupt")
	tests := []struct {
		name   string
		report *migrate.Report
		want   fault.Kind
	}{
		{"before anything was written", &migrate.Report{}, fault.Refused},
		{"after some were written", &migrate.Report{Written: 4000}, fault.Failed},
		{"in a dry run", &migrate.Report{Written: 4000, DryRun: true}, fault.Refused},
		{"in an export, which writes all or nothing", nil, fault.Refused},
	}
	for _, tt := range tests {
		err := a.interrupted(tt.report, refusal)
		if got := fault.KindOf(err); got != tt.want || err.Error() != refusal.Error() || fault.HintOf(err) != "restore it" {
			t.Errorf("%s: kind %d, want %d: %v (%s)", tt.name, got, tt.want, err, fault.HintOf(err))
		}
	}
	if err := a.interrupted(nil, errors.New("broken")); fault.HintOf(err) == "" {
		t.Error("no next step")
	}
}
