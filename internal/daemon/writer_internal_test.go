package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/durable"
	"damocles-manager/internal/migrate"
	"damocles-manager/internal/sector"
)

func testWriter(t *testing.T, fs durable.FS) (*writer, *damocles.Home, string) {
	t.Helper()
	dir := t.TempDir()
	cfg, err := damocles.LoadConfig(dir, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	home, err := damocles.OpenHome(t.Context(), dir, cfg, damocles.Options{Write: true, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	c := newCensus(home, slog.New(slog.DiscardHandler))
	w := newWriter(home, &ledger{home: migrate.NewHome(home, dir, migrate.DaemonCommand, 0, fs)}, c)
	t.Cleanup(func() {
		if err := errors.Join(c.close(context.Background()), w.close(context.Background()), home.Close()); err != nil {
			t.Error(err)
		}
	})
	return w, home, dir
}

func put(key, before, after string) func() ([]damocles.Change, error) {
	return func() ([]damocles.Change, error) {
		c := damocles.Change{Store: damocles.CollectionCommon, Key: key, After: []byte(after)}
		if before != "" {
			c.Before = []byte(before)
		}
		return []damocles.Change{c}, nil
	}
}

// together starts writes while the writer is busy, so that they share a batch.
func together(t *testing.T, w *writer, plans []func() ([]damocles.Change, error)) []error {
	t.Helper()
	busy, begun := make(chan struct{}), make(chan struct{})
	var once sync.Once
	errs := make([]error, len(plans))
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = w.do(t.Context(), func() ([]damocles.Change, error) {
			once.Do(func() { close(begun) })
			<-busy
			return nil, nil
		})
	})
	<-begun
	for i, plan := range plans {
		wg.Go(func() { errs[i] = w.do(t.Context(), plan) })
	}
	time.Sleep(50 * time.Millisecond) // until they wait; were they late, they would only not share
	close(busy)
	wg.Wait()
	return errs
}

// One write that cannot be made fails alone, whoever it shares a transaction with.
func TestOneBadWrite(t *testing.T) {
	w, home, _ := testWriter(t, durable.FS{})
	var plans []func() ([]damocles.Change, error)
	for i := range 50 {
		plans = append(plans, put(fmt.Sprint("k", i), "", "v"))
	}
	plans = append(plans, put("bad", "was never there", "v"),
		func() ([]damocles.Change, error) { return nil, errors.New("refused") })
	errs := together(t, w, plans)
	for i := range 50 {
		if value, _, err := home.Value(t.Context(), damocles.CollectionCommon, fmt.Sprint("k", i)); errs[i] != nil || err != nil || string(value) != "v" {
			t.Errorf("write %d: %v, and it holds %q, %v", i, errs[i], value, err)
		}
	}
	if errs[50] == nil || !strings.Contains(errs[50].Error(), "no longer holds the value") || errs[51] == nil || errs[51].Error() != "refused" {
		t.Errorf("the bad ones: %v, %v", errs[50], errs[51])
	}
}

// Writes of one key see each other's results, however many come at once.
func TestWritesOfOneKey(t *testing.T) {
	w, home, _ := testWriter(t, durable.FS{})
	const n = 60
	var plans []func() ([]damocles.Change, error)
	for range n {
		plans = append(plans, func() ([]damocles.Change, error) {
			now, _, err := home.Value(t.Context(), damocles.CollectionCommon, "count")
			return []damocles.Change{{Store: damocles.CollectionCommon, Key: "count", Before: now, After: append(now[:len(now):len(now)], '|')}}, err
		})
	}
	for _, err := range together(t, w, plans) {
		if err != nil {
			t.Error(err)
		}
	}
	if value, _, err := home.Value(t.Context(), damocles.CollectionCommon, "count"); err != nil || len(value) != n {
		t.Errorf("%d of %d writes are there (%v)", len(value), n, err)
	}
}

// A batch has every write's first step before any write's second, so that a sector that
// moves is never in no workspace.
func TestInOrder(t *testing.T) {
	var batch []*write
	for i := range 3 {
		from, to := damocles.CollectionMeta, damocles.CollectionOffline
		if i == 1 {
			from, to = to, from
		}
		batch = append(batch, &write{changes: []damocles.Change{{Store: to, Key: fmt.Sprint(i), After: []byte("x")}, {Store: from, Key: fmt.Sprint(i), Before: []byte("x")}}})
	}
	var got []string
	for _, c := range inOrder(batch) {
		got = append(got, fmt.Sprintf("%s %s %t", c.Store, c.Key, c.After != nil))
	}
	want := "meta 1 true, offline_meta 0 true, offline_meta 2 true, meta 0 false, meta 2 false, offline_meta 1 false"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

// What cannot be journalled is not written, and the journal is whole again afterwards.
func TestLedgerFails(t *testing.T) {
	fail := false
	w, home, dir := testWriter(t, durable.FS{Fault: func(op, path string) error {
		if fail && op == "sync" && strings.Contains(path, "journal") {
			return errors.New("the disk is full")
		}
		return nil
	}})
	if err := w.do(t.Context(), put("k", "", "1")); err != nil {
		t.Fatal(err)
	}
	if err := w.do(t.Context(), put("k", "1", "2")); err != nil {
		t.Fatal(err)
	}
	fail = true
	if err := w.do(t.Context(), put("k", "2", "3")); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v", err)
	}
	if err := w.do(t.Context(), put("new", "", "1")); err != nil {
		t.Errorf("what replaces nothing needs no journal: %v", err)
	}
	fail = false
	if value, _, _ := home.Value(t.Context(), damocles.CollectionCommon, "k"); string(value) != "2" {
		t.Errorf("it holds %s", value)
	}
	if err := w.do(t.Context(), put("k", "2", "4")); err != nil {
		t.Fatal(err)
	}
	if err := w.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	path, err := durable.Latest(migrate.JournalDir(dir), func(_ durable.Header, ended bool) bool { return ended })
	if err != nil || path == "" {
		t.Fatalf("the journal %q, %v", path, err)
	}
	j, err := durable.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	var before []string
	if err := j.EachNewestRunFirst(t.Context(), func(e durable.Entry) error {
		before = append(before, string(e.Before))
		return nil
	}); err != nil || !strings.HasPrefix(strings.Join(before, ""), "2") || !strings.HasSuffix(strings.Join(before, ""), "1") {
		t.Errorf("the journal has %q, %v", before, err)
	}
}

func TestWriterCloses(t *testing.T) {
	w, _, _ := testWriter(t, durable.FS{})
	busy, begun := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		done <- w.do(t.Context(), func() ([]damocles.Change, error) {
			close(begun)
			<-busy
			return nil, nil
		})
	})
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := w.do(ctx, put("k", "", "v")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller who does not want to wait: %v", err)
	}
	if err := w.close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing while it writes: %v", err)
	}
	close(busy)
	if err := <-done; err != nil {
		t.Errorf("what was begun: %v", err)
	}
	wg.Wait()
	if err := w.close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := w.do(t.Context(), put("k", "", "v")); !errors.Is(err, errClosing) {
		t.Errorf("after the end: %v", err)
	}
}

func TestLocks(t *testing.T) {
	var l locks
	a, b := sector.ID{Miner: 1, Number: 1}, sector.ID{Miner: 1, Number: 2}
	release, err := l.take(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.take(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.take(ctx, a); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("taken twice: %v", err)
	}
	release()
	if release, err = l.take(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	release()
	if len(l.held) != 0 {
		t.Errorf("%d locks are kept", len(l.held))
	}
}
