// Package storetest is the suite that every kind of damocles home has to pass:
// the one in Badger, the one in MongoDB, and the one in memory. It asks for what
// is lost and faked, too, and not only for what works. It is for tests; a module
// of its own runs it on a real server.
package storetest

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"damocles-manager/internal/damocles"
)

// Kind is a kind of home.
type Kind struct {
	// New makes an empty home, for this test alone, and returns what opens it for
	// writing.
	New func(t *testing.T) (open func() *damocles.Home)
	// Keeps says that what was written is there when the home is opened again.
	Keeps bool
	// Shared says that it can be open several times at once.
	Shared bool
	// Racy says why the server lets two clients change one record at the same
	// moment. Empty, it does not.
	Racy string
	// Snapshot says that Each does not come to what is added meanwhile.
	Snapshot bool
	// Records is how many small records are written at once. More than 4,000 make
	// several portions.
	Records int
}

// Run runs the suite, each test on a home of its own.
func Run(t *testing.T, k Kind) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Kind)
	}{
		{"values", values},
		{"not shared with the caller", notShared},
		{"keys", keys},
		{"prefixes are no patterns", prefixes},
		{"bad keys", badKeys},
		{"order", order},
		{"numbers", numbers},
		{"index", index},
		{"changed underneath", changedUnderneath},
		{"again", again},
		{"one key several times", oneKeyOften},
		{"many", many},
		{"large", large},
		{"refused", refused},
		{"cancelled walk", cancelledWalk},
		{"cancelled write", cancelledWrite},
		{"stopped by the caller", stopped},
		{"written while walked over", writtenMeanwhile},
		{"race", race},
		{"closed", closed},
		{"kept", kept},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, k) })
	}
}

// home opens one, and closes it at the end of the test.
func (k Kind) home(t *testing.T) *damocles.Home {
	t.Helper()
	return opened(t, k.New(t))
}

func opened(t *testing.T, open func() *damocles.Home) *damocles.Home {
	t.Helper()
	h := open()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

func apply(t *testing.T, h *damocles.Home, changes ...damocles.Change) {
	t.Helper()
	if err := h.Apply(t.Context(), changes); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

// put makes a change that adds a record to the collection common.
func put(key, value string) damocles.Change {
	return damocles.Change{Store: damocles.CollectionCommon, Key: key, After: []byte(value)}
}

// wantValue checks what is under a key of the collection common, nil for nothing.
func wantValue(t *testing.T, h *damocles.Home, key string, want []byte) {
	t.Helper()
	got, found, err := h.Value(t.Context(), damocles.CollectionCommon, key)
	if err != nil || found != (want != nil) || !bytes.Equal(got, want) {
		t.Errorf("key %q: got %.40q, %v, %v, want %.40q, %v", key, got, found, err, want, want != nil)
	}
}

// all reads a collection.
func all(t *testing.T, h *damocles.Home, collection, prefix string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	var last []string
	err := h.Scan(t.Context(), collection, prefix, func(key string, value []byte) error {
		if _, twice := got[key]; twice {
			t.Errorf("%q is given twice", key)
		}
		got[key] = string(value)
		last = append(last, key)
		return nil
	})
	if err != nil {
		t.Fatalf("scan %s: %v", collection, err)
	}
	if !slices.IsSorted(last) {
		t.Errorf("not in the order of their bytes: %q", last)
	}
	return got
}

func wantAll(t *testing.T, h *damocles.Home, prefix string, want map[string]string) {
	t.Helper()
	if got := all(t, h, damocles.CollectionCommon, prefix); !maps.Equal(got, want) {
		t.Errorf("with %q: got %.200q, want %.200q", prefix, got, want)
	}
}

var errStop = errors.New("enough")
