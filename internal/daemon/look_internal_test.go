package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/sector"
	"damocles-manager/internal/testkit"
)

// A look that hangs is left behind: its caller waits for a bounded time, or until it has
// gone itself. Those that hang are bounded, too, and a store that is well is looked at
// beside them.
func TestLookHangs(t *testing.T) {
	l := newLooks(slog.New(slog.DiscardHandler))
	l.places = make(chan struct{}, 3)
	hang := make(chan struct{})
	hangs := func() (int, error) { <-hang; return 1, nil }
	l.timeout = 20 * time.Millisecond
	if _, err := look(t.Context(), l, hangs); !errors.Is(err, errNoAnswer) {
		t.Errorf("a disk that hangs: %v", err)
	}
	l.timeout = time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := look(ctx, l, hangs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller who has gone: %v", err)
	}
	broken := errors.New("input/output error")
	if got, err := look(t.Context(), l, func() (int, error) { return 7, broken }); got != 7 || !errors.Is(err, broken) {
		t.Errorf("beside those that hang: %d, %v", got, err)
	}
	l.timeout = 20 * time.Millisecond
	for range 2 { // the first takes the last place
		if _, err := look(t.Context(), l, hangs); !errors.Is(err, errNoAnswer) {
			t.Errorf("one more: %v", err)
		}
	}
	if len(l.places) != 3 {
		t.Errorf("%d of 3 hang", len(l.places))
	}
	close(hang)
	l.looking.Wait()
	l.timeout = time.Minute
	if got, err := look(t.Context(), l, hangs); got != 1 || err != nil {
		t.Errorf("after it came back: %d, %v", got, err)
	}
}

// A removal does not wait for a disk without an end, and one that has not seen the files
// removes nothing.
func TestRemovalLooks(t *testing.T) {
	home, id := damocles.NewMemoryHome(), sector.ID{Miner: 1000, Number: 114}
	names, err := filepath.Glob(filepath.Join(testkit.Fixture(t, "damocles-states"), "114-*.json"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	raw, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	key := damocles.StateKey(damocles.Offline, id.Miner, id.Number)
	if err := home.Apply(t.Context(), []damocles.Change{{Store: damocles.CollectionOffline, Key: key, After: raw}}); err != nil {
		t.Fatal(err)
	}
	d, err := New(Options{Home: home, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	d.looks.timeout = 20 * time.Millisecond
	for range maxLooks { // all of them hang
		d.looks.places <- struct{}{}
	}
	if _, err := d.removeSector(t.Context(), id, nil); !errors.Is(err, errNoAnswer) || !strings.Contains(err.Error(), "is not removed: its files cannot be looked for") {
		t.Errorf("a removal: %v", err)
	}
	if now, _, err := home.Get(t.Context(), damocles.Offline, id.Miner, id.Number); string(now) != string(raw) || err != nil {
		t.Errorf("the record is %s, %v", now, err)
	}
	<-d.looks.places
	d.looks.timeout = time.Minute // on a busy machine a look takes its time
	if _, err := d.removeSector(t.Context(), id, nil); err != nil {
		t.Errorf("when one came free: %v", err)
	}
}

// A look that panics, as in a damaged database, fails, and does not end the daemon.
func TestLookPanics(t *testing.T) {
	var log strings.Builder
	l := newLooks(slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := look(t.Context(), l, func() (int, error) { panic("damaged") }); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("it ends with %v", err)
	}
	if len(l.places) != 0 || !strings.Contains(log.String(), "TestLookPanics") {
		t.Errorf("%d places are kept, the log has %q", len(l.places), &log)
	}
}
