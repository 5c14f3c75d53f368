package migrate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"damocles-manager/internal/durable"
	"damocles-manager/internal/fault"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/store"
)

// locate returns the directory behind a path, and its path without links.
func locate(path string) (os.FileInfo, string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	if !info.IsDir() {
		return nil, "", fmt.Errorf("%s is not a directory", path)
	}
	real, err := filepath.EvalSymlinks(path)
	return info, real, err
}

// listedPath looks at a path that storage.json names. One that lotus-miner could
// not open is no matter of ours, but good to know: its ID cannot be compared.
func listedPath(path string) *storeEntry {
	e := &storeEntry{listed: true}
	e.Path = path
	e.event = StoreEvent{Type: "store", Path: path}
	if !filepath.IsAbs(path) {
		e.event.problem(fault.New("write it in full there", "%s names it by a path that depends on where lotus-miner is started", lotus.StorageName))
		return e
	}
	cannot := func(err error) {
		e.event.note("cannot-open", fmt.Sprintf("%s names it, but lotus-miner cannot open it, and will not start: %v", lotus.StorageName, err))
	}
	var err error
	if e.info, e.real, err = locate(path); err != nil {
		cannot(err)
		return e
	}
	meta, _, err := store.ReadMeta(path)
	if err != nil {
		cannot(err)
		return e
	}
	l, err := meta.Lotus()
	if err != nil {
		cannot(fmt.Errorf("%s: %w", store.MetaPath(path), err))
		return e
	}
	e.event.ID = l.ID
	return e
}

// compare holds all directories and IDs against each other.
func (x *StoreExport) compare(entries []*storeEntry) {
	for i, e := range entries {
		if e.info == nil || e.event.Action == StoreSkipped {
			continue
		}
		for _, other := range entries[:i] {
			if other.info == nil || other.event.Action == StoreSkipped {
				continue
			}
			e.clash(other)
		}
	}
}

// clash finds what keeps two entries from standing side by side. A store of
// damocles's and the path of storage.json that is the same directory are one.
func (e *storeEntry) clash(other *storeEntry) {
	same := os.SameFile(e.info, other.info)
	switch {
	case same && e.own != other.own:
		if len(e.event.Problems) == 0 {
			other.event.Notes = nil // they are about what is mended here
		}
	case same && e.own:
		e.event.problem(fault.New("take one of the two out of damocles's configuration",
			"it is the same directory as the store %s (%s): lotus-miner would have it twice", other.Name, other.Path))
	case same:
		e.event.problem(fault.New("take one of the two out of "+lotus.StorageName,
			"%s names the same directory twice, here and as %s: lotus-miner does not start", lotus.StorageName, other.Path))
	case e.event.ID != "" && e.event.ID == other.event.ID:
		e.event.problem(fault.New("if one is a copy of the other, take its "+store.MetaName+" away (the ID belongs to the store that lotus-miner had first), then run this again",
			"its ID %s is that of %s, too: lotus-miner does not start", e.event.ID, other.Path))
	}
	if !same && (e.isNew() || other.isNew()) && (inside(e.real, other.real) || inside(other.real, e.real)) {
		e.event.problem(fault.New("leave one of the two out, or move its sectors with `export files`",
			"one of %s and %s lies inside the other", e.Path, other.Path))
	}
}

func (e *storeEntry) isNew() bool { return e.own && !e.listed }

func inside(child, parent string) bool {
	return strings.HasPrefix(child, strings.TrimSuffix(parent, "/")+"/")
}

// access checks that the file can be written, and that the repo's owner, as whom
// lotus-miner runs, can work with the store.
func (x *StoreExport) access(ctx context.Context, e *storeEntry, census *store.Census) error {
	if e.change != nil && !x.DryRun {
		if err := durable.CheckOwner(e.Path); err != nil {
			e.event.problem(err)
		}
	}
	if e.change != nil || census.Missing {
		if err := unix.Access(e.Path, unix.W_OK); errors.Is(err, unix.EROFS) {
			e.event.problem(fault.New("make it writable once: lotus-miner makes missing type directories when it opens a path",
				"its file system is read-only"))
		}
	}
	owner, err := store.UserOf(x.Repo)
	if err != nil {
		return err
	}
	return unreadable(ctx, &e.event, e.Store(), owner, "the repo")
}

// unreadable lists what keeps a user from working with a store: the owner of
// what, as whom its program runs.
func unreadable(ctx context.Context, event *StoreEvent, s store.Store, owner store.User, what string) error {
	var list []string
	err := s.Unreadable(ctx, owner, func(path, why string) error {
		list = append(list, path+": "+why)
		if len(list) > maxListed {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		event.problem(err)
		return nil
	}
	if len(list) > 0 {
		event.problem(fault.New(fmt.Sprintf("let that user in, as with: chown -R %d %s (the other system's program has to keep its access)", owner.UID, s.Dir),
			"%s, who owns %s, cannot work with it: %s", owner.Name, what, someOf(list)))
	}
	return nil
}

// maxListed is how much of one kind a problem lists.
const maxListed = 10

// someOf lists the first few of many.
func someOf(list []string) string {
	if len(list) <= maxListed {
		return strings.Join(list, "; ")
	}
	return strings.Join(list[:maxListed], "; ") + " and more"
}

func badNames(ctx context.Context, s store.Store) ([]string, error) {
	var list []string
	err := s.BadNames(ctx, func(b store.BadName) error {
		list = append(list, b.String())
		if len(list) > maxListed {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return list, err
}
