package migrate

import (
	"context"
	"path/filepath"

	"damocles-manager/internal/fault"
)

// configStore is the name under which damocles's configuration stands in
// journals, with its path as the key.
const configStore = "sector-manager.cfg"

// readConfigFile reads a configuration that a journal names. A journal is a file
// that anybody may have changed, and an undo must not write elsewhere.
func readConfigFile(path string) ([]byte, error) {
	if !filepath.IsAbs(path) || filepath.Base(path) != configStore {
		return nil, fault.Refuse("name the journal of an import into this home", "the journal names %s, which is no configuration of damocles", path)
	}
	return readFile(path)
}

// ConfigWriter changes the configuration of a damocles under the run's journal.
type ConfigWriter interface {
	WriteConfig(ctx context.Context, c Change) error
}

var (
	_ ConfigWriter = (*Home)(nil)
	_ ConfigWriter = (*Daemon)(nil)
	_ ConfigWriter = NoHome{}
)

// WriteConfig journals the change and makes it.
func (h *Home) WriteConfig(ctx context.Context, c Change) error { return h.apply(ctx, []Change{c}) }

// WriteConfig journals the change and makes it. A running damocles-manager reads
// the file at its next start, or at SIGUSR1.
func (d *Daemon) WriteConfig(_ context.Context, c Change) error {
	if err := d.journal.record(c); err != nil {
		return err
	}
	if err := d.journal.sync(); err != nil {
		return err
	}
	return writeFile(d.journal.fs, c)
}

// WriteConfig does nothing: it is for the dry run that would make the home.
func (NoHome) WriteConfig(context.Context, Change) error { return nil }
