package transfer

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"damocles-manager/internal/durable"
)

// watch notes the steps of a run, and the calls of its Journal and Known.
type watch struct {
	mu    sync.Mutex
	steps []string
}

func (o *watch) note(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.steps = append(o.steps, what)
}

func (o *watch) Intend(context.Context, []Sector) error {
	o.note("intend")
	return nil
}

func (o *watch) options() Options {
	return Options{
		Jobs: 1, Journal: o,
		Known: func(context.Context, []Sector) error {
			o.note("known")
			return nil
		},
		FS: durable.FS{Fault: func(op, path string) error {
			o.note(op + " " + path)
			return nil
		}},
	}
}

// wantOrder checks that each of the steps comes, and after the one before it.
func (o *watch) wantOrder(t *testing.T, steps ...string) {
	t.Helper()
	at := 0
	for _, want := range steps {
		i := slices.Index(o.steps[at:], want)
		if i < 0 {
			t.Fatalf("no %q after %q in\n%s", want, o.steps[:at], strings.Join(o.steps, "\n"))
		}
		at += i + 1
	}
}

// never checks that nothing that begins with what comes before the step.
func (o *watch) never(t *testing.T, what, before string) {
	t.Helper()
	end := slices.Index(o.steps, before)
	for _, s := range o.steps[:end] {
		if strings.HasPrefix(s, what) {
			t.Errorf("%q comes before %q", s, before)
		}
	}
}

func TestOrderOfAMove(t *testing.T) {
	w := newWorld(t, t.TempDir(), filepath.Join(second(t), "store"), 100)
	o := &watch{}
	w.good(o.options())
	replica, cache := w.sectors[0].Objects[0], w.sectors[0].Objects[1]
	manifest := filepath.Join(w.target, ManifestName)
	o.wantOrder(t,
		"create "+stagedPath(replica.To), "write "+stagedPath(replica.To), "syncfs "+filepath.Dir(replica.To),
		"open "+stagedPath(replica.To), "read "+stagedPath(replica.To), "read "+stagedPath(cache.To)+"/p_aux",
		"intend", "rename "+replica.To, "rename "+cache.To,
		"syncdir "+filepath.Dir(replica.To), "syncdir "+filepath.Dir(cache.To),
		"write "+manifest, "sync "+manifest, "known",
		"remove "+replica.From, "remove "+cache.From+"/p_aux", "remove "+cache.From,
		"syncdir "+filepath.Dir(replica.From), "syncdir "+filepath.Dir(cache.From))
	for _, dir := range w.sources {
		o.never(t, "remove "+dir, "known")
	}
	o.never(t, "rename "+w.target+"/sealed", "intend")
}

func TestOrderOfARename(t *testing.T) {
	src := t.TempDir()
	w := newWorld(t, src, filepath.Join(src, "store"), 100, 102)
	o := &watch{}
	w.good(o.options())
	replica, cache := w.sectors[0].Objects[0], w.sectors[0].Objects[1]
	manifest := filepath.Join(w.target, ManifestName)
	o.wantOrder(t, "intend", "rename "+replica.To, "rename "+cache.To,
		"syncdir "+filepath.Dir(replica.To), "syncdir "+filepath.Dir(cache.To),
		"syncdir "+filepath.Dir(replica.From), "syncdir "+filepath.Dir(cache.From),
		"write "+manifest, "sync "+manifest, "known")
	syncs := 0
	for _, s := range o.steps {
		if s == "syncdir "+filepath.Dir(replica.From) {
			syncs++
		}
	}
	if syncs != 1 {
		t.Errorf("the source's directory was synced %d times for two sectors", syncs)
	}
}
