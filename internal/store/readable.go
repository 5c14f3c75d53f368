package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/sector"
)

// User is somebody who is to read a store.
type User struct {
	Name   string
	UID    uint32
	GID    uint32
	Groups []uint32
}

// UserOf returns the user who owns a file or directory, with all groups.
func UserOf(path string) (User, error) {
	info, err := os.Stat(path)
	if err != nil {
		return User{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return User{}, fmt.Errorf("find the owner of %s: this system does not tell", path)
	}
	return LookupUser(stat.Uid)
}

// LookupUser returns a user with all groups. One whom the system does not know
// is in none.
func LookupUser(uid uint32) (User, error) {
	id := strconv.FormatUint(uint64(uid), 10)
	out := User{Name: "uid " + id, UID: uid, GID: ^uint32(0)}
	known, err := user.LookupId(id)
	if _, unknown := errors.AsType[user.UnknownUserIdError](err); unknown {
		return out, nil
	}
	if err != nil {
		return User{}, fmt.Errorf("look up the user %s: %w", id, err)
	}
	out.Name = known.Username
	if gid, err := strconv.ParseUint(known.Gid, 10, 32); err == nil {
		out.GID = uint32(gid)
	}
	groups, err := known.GroupIds()
	if err != nil {
		return User{}, fmt.Errorf("look up the groups of %s: %w", known.Username, err)
	}
	for _, g := range groups {
		if gid, err := strconv.ParseUint(g, 10, 32); err == nil {
			out.Groups = append(out.Groups, uint32(gid))
		}
	}
	return out, nil
}

const (
	mayRead    fs.FileMode = 4
	mayWrite   fs.FileMode = 2
	mayExecute fs.FileMode = 1
)

// lacks returns which of the wanted permissions the user has not, "" for none.
func (u User) lacks(info os.FileInfo, want fs.FileMode) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || u.UID == 0 {
		return ""
	}
	perm := info.Mode().Perm()
	switch {
	case stat.Uid == u.UID:
		perm >>= 6
	case stat.Gid == u.GID || slices.Contains(u.Groups, stat.Gid):
		perm >>= 3
	}
	var lacking []string
	for _, p := range []struct {
		bit  fs.FileMode
		name string
	}{{mayRead, "read"}, {mayWrite, "write to"}, {mayExecute, "enter"}} {
		if want&p.bit != 0 && perm&p.bit == 0 {
			lacking = append(lacking, p.name)
		}
	}
	return strings.Join(lacking, " or ")
}

// Unreadable calls fn with every path that keeps the user from reading the
// store, and with what is lacking: on the directories above it, on its type
// directories and cache directories, and on the sectors' files; and with the
// store itself, where type directories are missing and the user could not make
// them. It goes by the permission bits: access control lists and read-only
// mounts are not known to it. Root may do everything.
func (s Store) Unreadable(ctx context.Context, who User, fn func(path, why string) error) error {
	if who.UID == 0 {
		return nil
	}
	w := unreadable{who: who, fn: fn}
	dir, err := filepath.EvalSymlinks(s.Dir)
	if err != nil {
		return readError(err)
	}
	for at := filepath.Dir(dir); ; at = filepath.Dir(at) {
		if err := w.look(at, mayExecute); err != nil {
			return err
		}
		if at == filepath.Dir(at) {
			break
		}
	}
	want := mayRead | mayExecute
	if s.lacksTypeDirs() {
		want |= mayWrite
	}
	if err := w.look(s.Dir, want); err != nil {
		return err
	}
	for _, kind := range sector.FileKinds() {
		if err := w.typeDir(ctx, s, kind); err != nil {
			return err
		}
	}
	return nil
}

func (s Store) lacksTypeDirs() bool {
	return slices.ContainsFunc(sector.FileKinds(), func(kind sector.FileKind) bool {
		_, err := os.Stat(s.TypeDir(kind))
		return errors.Is(err, fs.ErrNotExist)
	})
}

type unreadable struct {
	who User
	fn  func(path, why string) error
}

// look tells of a path that the user may not use so. What has gone meanwhile, or
// points to nowhere, nobody can read, and that is not a matter of permissions.
// What we ourselves may not look at is told of, too.
func (w unreadable) look(path string, want fs.FileMode) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, fs.ErrPermission):
		return w.fn(path, "this user may not look at it")
	case err != nil:
		return readError(err)
	}
	if lacking := w.who.lacks(info, want); lacking != "" {
		return w.fn(path, fmt.Sprintf("%s may not %s it", w.who.Name, lacking))
	}
	return nil
}

func (w unreadable) typeDir(ctx context.Context, s Store, kind sector.FileKind) error {
	dir := s.TypeDir(kind)
	if err := w.look(dir, mayRead|mayExecute); err != nil {
		return err
	}
	return w.denied(dir, s.Each(ctx, kind, func(e Entry) error {
		if e.Err == nil {
			return w.sector(ctx, s.Path(kind, e.ID), kind)
		}
		return nil
	}))
}

// denied tells of a directory that we ourselves may not read, where the user in
// question may or has been told of already.
func (w unreadable) denied(dir string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if info, err := os.Stat(dir); err == nil && w.who.lacks(info, mayRead) == "" {
		return w.fn(dir, "this user may not look into it")
	}
	return nil
}

func (w unreadable) sector(ctx context.Context, path string, kind sector.FileKind) error {
	if !kind.IsDir() {
		return w.look(path, mayRead)
	}
	if err := w.look(path, mayRead|mayExecute); err != nil {
		return err
	}
	return w.cacheDir(ctx, path)
}

func (w unreadable) cacheDir(ctx context.Context, dir string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // look has seen it: what is no directory holds nothing
	}
	return w.denied(dir, eachName(ctx, dir, func(name string) error { return w.look(filepath.Join(dir, name), mayRead) }))
}

// CheckDir returns an error that says what to do if dir is no directory.
func CheckDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New("check the path, and that the disk is mounted", "there is no directory %s", dir)
	case err != nil:
		return readError(err)
	case !info.IsDir():
		return fault.New("give the directory that holds sealed, cache and their like", "%s is not a directory", dir)
	}
	return nil
}
