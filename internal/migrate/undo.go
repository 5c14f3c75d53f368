package migrate

import (
	"context"
	"strings"
)

var (
	_ Store = (*Home)(nil)
	_ Store = (*Repo)(nil)
)

// KeepHomeKeys says which keys of a home never go back: the allocator's.
func KeepHomeKeys(key string) bool { return strings.HasPrefix(key, "sector-number/") }

// KeepRepoKeys says which keys of a repo never go back: the counter, the number
// bitfields, and the slash filter, which is not ours.
func KeepRepoKeys(key string) bool {
	return strings.HasPrefix(key, "/storage/") || strings.HasPrefix(key, "/slashfilter/")
}

// Value reads one key of the home, or its configuration.
func (h *Home) Value(ctx context.Context, store, key string) ([]byte, error) {
	if store == configStore {
		return readConfigFile(key)
	}
	value, _, err := h.home.Value(ctx, store, key)
	return value, err
}

// Undo writes the changes, journaled like any other.
func (h *Home) Undo(ctx context.Context, changes []Change) error { return h.apply(ctx, changes) }

// FinishUndo ends the journal.
func (h *Home) FinishUndo(ctx context.Context) (Undo, error) { return h.Finish(ctx, nil) }

// AbandonUndo keeps what was undone, and the journal open.
func (h *Home) AbandonUndo() error { return h.Abandon() }

// Value reads one key of the repo, as the transaction that is under way sees it.
func (r *Repo) Value(_ context.Context, _, key string) ([]byte, error) {
	if r.tx != nil {
		value, _, err := r.tx.Get(key)
		return value, err
	}
	value, _, err := r.repo.Get(key)
	return value, err
}

// Undo puts the changes into the transaction.
func (r *Repo) Undo(ctx context.Context, changes []Change) error { return r.put(ctx, changes...) }

// FinishUndo commits the transaction.
func (r *Repo) FinishUndo(ctx context.Context) (Undo, error) { return r.Finish(ctx, nil) }

// AbandonUndo leaves the repo as it was.
func (r *Repo) AbandonUndo() error { return r.Abandon() }
