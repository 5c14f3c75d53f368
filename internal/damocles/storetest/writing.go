package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
)

// changedUnderneath: a record that is not as it was planned with stays, and so
// does everything else of its portion.
func changedUnderneath(t *testing.T, k Kind) {
	h := k.home(t)
	apply(t, h, put("held", "now"), put("gone", "x"), put("other", "1"))
	apply(t, h, damocles.Change{Store: damocles.CollectionCommon, Key: "gone", Before: []byte("x")})
	for _, c := range []damocles.Change{
		{Key: "held", Before: []byte("then"), After: []byte("new")},
		{Key: "held", Before: []byte("then")},
		{Key: "held", After: []byte("new")},
		{Key: "held", Before: []byte("NOW"), After: []byte("new")},
		{Key: "gone", Before: []byte("x"), After: []byte("new")},
		{Key: "gone", Before: []byte{}, After: []byte("new")},
	} {
		c.Store = damocles.CollectionCommon
		// An ordinary one on either side.
		err := h.Apply(t.Context(), []damocles.Change{
			put("before", "x"), {Store: c.Store, Key: "other", Before: []byte("1"), After: []byte("2")}, c, put("after", "x"),
		})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.Key)) {
			t.Errorf("%+v: got %v, want an error with the key", c, err)
		}
		wantAll(t, h, "", map[string]string{"held": "now", "other": "1"})
	}
}

// again: a call that was interrupted can be repeated, wherever it ended.
func again(t *testing.T, k Kind) {
	h := k.home(t)
	apply(t, h, put("replaced", "1"), put("removed", "1"))
	changes := []damocles.Change{
		put("added", "2"),
		{Store: damocles.CollectionCommon, Key: "replaced", Before: []byte("1"), After: []byte("2")},
		{Store: damocles.CollectionCommon, Key: "removed", Before: []byte("1")},
		{Store: damocles.CollectionMeta, Key: damocles.NumberKey(1000), After: damocles.EncodeNumber(3)},
	}
	for done := range changes {
		apply(t, h, changes[:done]...)
	}
	apply(t, h, changes...)
	apply(t, h, changes...)
	wantAll(t, h, "", map[string]string{"added": "2", "replaced": "2"})
}

func oneKeyOften(t *testing.T, k Kind) {
	h := k.home(t)
	c := func(before, after []byte) damocles.Change {
		return damocles.Change{Store: damocles.CollectionCommon, Key: "k", Before: before, After: after}
	}
	apply(t, h, c(nil, []byte("1")), c([]byte("1"), []byte("2")), c([]byte("2"), nil), c(nil, []byte("3")))
	wantValue(t, h, "k", []byte("3"))
}

// many small records, in several portions where the kind takes so many.
func many(t *testing.T, k Kind) {
	h := k.home(t)
	changes := states(k.Records, 10)
	apply(t, h, changes...)
	if got := all(t, h, damocles.CollectionOffline, ""); len(got) != k.Records {
		t.Errorf("got %d records, want %d", len(got), k.Records)
	}
	seen := 0
	if err := h.EachNumber(t.Context(), damocles.Offline, nil, func(abi.SectorNumber) { seen++ }); err != nil || seen != k.Records {
		t.Errorf("got %d numbers, %v, want %d", seen, err, k.Records)
	}
	// A late one that is not as expected: its portion stays unwritten.
	last := &changes[len(changes)-1]
	last.Before, last.After = []byte("something else"), []byte("x")
	if err := h.Apply(t.Context(), changes); err == nil || !strings.Contains(err.Error(), last.Key) {
		t.Errorf("got %v", err)
	}
}

func states(n, size int) []damocles.Change {
	var changes []damocles.Change
	for i := range n {
		changes = append(changes, damocles.Change{
			Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, abi.SectorNumber(i)),
			After: fmt.Append(bytes.Repeat([]byte{'0'}, size-3), 100+i%900),
		})
	}
	return changes
}

// large records make several portions by their size.
func large(t *testing.T, k Kind) {
	h := k.home(t)
	changes := states(9, 1<<20)
	apply(t, h, changes...)
	for i, c := range changes {
		if got, found, err := h.Get(t.Context(), damocles.Offline, 1000, abi.SectorNumber(i)); string(got) != string(c.After) || !found || err != nil {
			t.Errorf("%d: got %.20q, %v, %v", i, got, found, err)
		}
	}
}

func refused(t *testing.T, k Kind) {
	h := k.home(t)
	for _, c := range []damocles.Change{
		{Store: "../meta", Key: "k", After: []byte("x")}, {Store: "", Key: "k", After: []byte("x")},
		{Store: damocles.CollectionCommon, After: []byte("x")},
	} {
		if err := h.Apply(t.Context(), []damocles.Change{c}); err == nil {
			t.Errorf("%+v was written", c)
		}
	}
	if _, _, err := h.Value(t.Context(), "nosuch", "k"); err == nil {
		t.Error("read from a collection that damocles does not have")
	}
	if err := h.Scan(t.Context(), "nosuch", "", func(string, []byte) error { return nil }); err == nil {
		t.Error("walked over a collection that damocles does not have")
	}
	wantAll(t, h, "", map[string]string{})
}

func cancelledWalk(t *testing.T, k Kind) {
	h := k.home(t)
	apply(t, h, states(20, 10)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	calls := 0
	err := h.Each(ctx, damocles.Offline, nil, func(damocles.KV) error {
		if calls++; calls == 7 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 7 {
		t.Errorf("got %d calls, %v", calls, err)
	}
	if err := h.EachNumber(ctx, damocles.Offline, nil, func(abi.SectorNumber) { t.Error("called") }); !errors.Is(err, context.Canceled) {
		t.Errorf("numbers: got %v", err)
	}
}

// cancelledWrite: a write that is cancelled anywhere has written the first
// portions whole, and can be repeated.
func cancelledWrite(t *testing.T, k Kind) {
	h := k.home(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	changes := states(9, 1<<20)
	if err := h.Apply(ctx, changes); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := all(t, h, damocles.CollectionOffline, ""); len(got) != 0 {
		t.Errorf("%d records were written", len(got))
	}
	ctx, cancel = context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // cancels as soon as the first portion shows
		for ctx.Err() == nil {
			if _, found, err := h.Get(t.Context(), damocles.Offline, 1000, 0); found || err != nil {
				cancel()
			}
		}
	})
	err := h.Apply(ctx, changes)
	cancel()
	wg.Wait()
	got := all(t, h, damocles.CollectionOffline, "")
	if err != nil && (!errors.Is(err, context.Canceled) || len(got)%4 != 0) {
		t.Errorf("got %v and %d records", err, len(got))
	}
	for i := range len(got) {
		if _, ok := got[changes[i].Key]; !ok {
			t.Errorf("%d records were written, and not the one with number %d", len(got), i)
		}
	}
	apply(t, h, changes...)
	if got := all(t, h, damocles.CollectionOffline, ""); len(got) != len(changes) {
		t.Errorf("after all: got %d records", len(got))
	}
}

func stopped(t *testing.T, k Kind) {
	h := k.home(t)
	apply(t, h, states(5, 10)...)
	calls := 0
	err := h.Each(t.Context(), damocles.Offline, nil, func(damocles.KV) error {
		if calls++; calls == 3 {
			return errStop
		}
		return nil
	})
	if err != errStop || calls != 3 { //nolint:errorlint // as it is, and not wrapped
		t.Errorf("got %d calls, %v", calls, err)
	}
}

// writtenMeanwhile: every record that was there at the start and stays is given
// once, whatever is written during the walk.
func writtenMeanwhile(t *testing.T, k Kind) {
	h := k.home(t)
	before := states(20, 10)
	apply(t, h, before...)
	seen := make(map[abi.SectorNumber]int)
	err := h.Each(t.Context(), damocles.Offline, nil, func(kv damocles.KV) error {
		seen[kv.Number]++
		if kv.Number >= 20 {
			return nil
		}
		return h.Apply(t.Context(), []damocles.Change{
			{Store: damocles.CollectionOffline, Key: damocles.StateKey(damocles.Offline, 1000, kv.Number+1000), After: []byte("new")},
			{Store: damocles.CollectionMeta, Key: damocles.StateKey(damocles.Online, 1000, kv.Number), After: []byte("new")},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range abi.SectorNumber(20) {
		if seen[n] != 1 {
			t.Errorf("%d was given %d times", n, seen[n])
		}
	}
	if k.Snapshot && len(seen) != 20 {
		t.Errorf("got %d records, want 20", len(seen))
	}
	if got := all(t, h, damocles.CollectionOffline, ""); len(got) != 40 {
		t.Errorf("then: got %d records, want 40", len(got))
	}
}

// race: of writers that all want one key, exactly one gets it.
func race(t *testing.T, k Kind) {
	const writers = 4
	open := k.New(t)
	adding := make([]*damocles.Home, writers)
	for i := range adding {
		if i > 0 && !k.Shared {
			adding[i] = adding[0]
			continue
		}
		adding[i] = opened(t, open)
	}
	changing := adding
	if k.Racy != "" {
		t.Log("writers with a connection each do not race for a change: " + k.Racy)
		changing = slices.Repeat(adding[:1], writers)
	}
	for round := range 5 {
		key := fmt.Sprint("key ", round)
		change := func(before []byte, by int) damocles.Change {
			return damocles.Change{Store: damocles.CollectionCommon, Key: key, Before: before, After: fmt.Append(nil, by)}
		}
		first := winner(t, adding, func(i int) damocles.Change { return change(nil, i) })
		second := winner(t, changing, func(i int) damocles.Change { return change(fmt.Append(nil, first), 100+i) })
		winner(t, changing, func(i int) damocles.Change { return change(fmt.Append(nil, 100+second), 200+i) })
	}
}

// winner returns who of the writers got its change in.
func winner(t *testing.T, homes []*damocles.Home, change func(int) damocles.Change) int {
	t.Helper()
	errs := make([]error, len(homes))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, h := range homes {
		wg.Go(func() {
			<-start
			errs[i] = h.Apply(context.WithoutCancel(t.Context()), []damocles.Change{change(i)})
		})
	}
	close(start)
	wg.Wait()
	won := -1
	for i, err := range errs {
		if err != nil {
			continue
		}
		if won >= 0 {
			t.Errorf("writers %d and %d both wrote %+v", won, i, change(i))
		}
		won = i
	}
	if won < 0 {
		t.Fatalf("nobody wrote %+v: %v", change(0), errs)
	}
	wantValue(t, homes[0], change(won).Key, change(won).After)
	return won
}

// closed: closing twice is no error, and nothing works after it.
func closed(t *testing.T, k Kind) {
	h := k.home(t)
	apply(t, h, put("k", "v"))
	for range 2 {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	ctx := t.Context()
	id := abi.SectorID{Miner: 1000, Number: 1}
	for name, use := range map[string]func() error{
		"value":  func() error { _, _, err := h.Value(t.Context(), damocles.CollectionCommon, "k"); return err },
		"get":    func() error { _, _, err := h.Get(t.Context(), damocles.Online, 1000, 1); return err },
		"each":   func() error { return h.Each(ctx, damocles.Online, nil, func(damocles.KV) error { return nil }) },
		"number": func() error { return h.EachNumber(ctx, damocles.Online, nil, func(abi.SectorNumber) {}) },
		"scan": func() error {
			return h.Scan(ctx, damocles.CollectionMeta, "", func(string, []byte) error { return nil })
		},
		"apply":   func() error { return h.Apply(ctx, []damocles.Change{put("k2", "v")}) },
		"index":   func() error { _, _, _, err := h.Index(t.Context(), id, false); return err },
		"changes": func() error { _, err := h.IndexChanges(t.Context(), id, false, "a", "b"); return err },
		"last":    func() error { _, _, err := h.LastNumber(t.Context(), 1000); return err },
		"highest": func() error { _, _, err := h.HighestNumber(ctx, 1000); return err },
		"reserve": func() error { _, err := h.Reserved(t.Context()); return err },
	} {
		if err := use(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// kept: what was written is there when the home is opened again.
func kept(t *testing.T, k Kind) {
	if !k.Keeps {
		t.Skip("this kind of home is gone when it is closed")
	}
	open := k.New(t)
	h := opened(t, open)
	apply(t, h, put("k", "v"), put("empty", ""))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	wantAll(t, opened(t, open), "", map[string]string{"k": "v", "empty": ""})
}
