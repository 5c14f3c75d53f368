package cli

import (
	"bytes"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/rpc"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
	"damocles-manager/internal/ui"
)

// On a terminal the total is counted first, so that the time left can be told;
// elsewhere nothing is counted for nobody.
func TestProgressKnowsTheTotal(t *testing.T) {
	w := newWorld(t)
	screen := func(o ui.Options) *app {
		return &app{env: Env{Getenv: func(string) string { return "" }}, ui: ui.New(&bytes.Buffer{}, &bytes.Buffer{}, o)}
	}
	some, err := sector.ParseNumbers([]string{"0-9,200"})
	w.must(err)
	onTerminal := screen(ui.Options{Terminal: true})
	repo, err := onTerminal.openLotus(w.ctx, w.repo("lotus"))
	w.must(err)
	defer closing(&err, repo)
	miner := testkit.Lotus(t, testkit.LotusOptions{})
	at, err := lotus.ParseEndpoint(miner.Multiaddr())
	w.must(err)
	api := migrate.NewLotusAPI(lotus.Dial(at, rpc.Options{}), 1000, 4)

	dir := w.home("home")
	opened, err := damocles.OpenHome(w.ctx, dir, damocles.Config{}, damocles.Options{})
	w.must(err)
	defer closing(&err, opened)
	home := migrate.NewHome(opened, dir, "export", 1000, durable.FS{})

	for _, tt := range []struct {
		name    string
		source  migrate.Source
		numbers sector.Numbers
		o       ui.Options
		want    string
	}{
		{"repo", repo.source, sector.Numbers{}, ui.Options{Terminal: true}, "importing 0 of 32 sectors, 0/s, ? left"},
		{"repo, some", repo.source, some, ui.Options{Terminal: true}, "importing 0 of 10 sectors, 0/s, ? left"},
		{"api", api, sector.Numbers{}, ui.Options{Terminal: true}, "importing 0 of 32 sectors, 0/s, ? left"},
		{"home, of one miner", home, sector.Numbers{}, ui.Options{Terminal: true}, "importing 0 of 23 sectors, 0/s, ? left"},
		{"quiet", repo.source, sector.Numbers{}, ui.Options{Terminal: true, Quiet: true}, "importing 0 sectors, 0/s"},
		{"no terminal", repo.source, sector.Numbers{}, ui.Options{}, "importing 0 sectors, 0/s"},
	} {
		if got := screen(tt.o).progress(w.ctx, tt.source, 1000, tt.numbers).Line("importing", time.Second); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
