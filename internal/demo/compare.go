package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/lotus"
	"damocles-manager/internal/sector"
)

// records are the bytes of all sector records of a repo, by key.
func records(ctx context.Context, dir string) (out map[string][]byte, err error) {
	repo, err := lotus.OpenRepo(ctx, dir, lotus.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	out = map[string][]byte{}
	return out, repo.Sectors(ctx, func(kv lotus.SectorKV) error {
		out[kv.Key] = bytes.Clone(kv.Raw)
		return kv.KeyErr
	})
}

// unchanged wants a repo to have the records of the start, byte for byte, and
// besides them one for each sector that damocles has sealed since.
func (s *story) unchanged(ctx context.Context, repo string) error {
	now, err := records(ctx, repo)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(s.records)) {
		if !bytes.Equal(now[key], s.records[key]) {
			return wrong(nil, "%s: the record %s has %d bytes that are not the %d it had", repo, key, len(now[key]), len(s.records[key]))
		}
	}
	if len(now) != len(s.sectors()) {
		return wrong(nil, "%s has records of %d sectors, and there are %d", repo, len(now), len(s.sectors()))
	}
	s.same(len(s.records), "sector records in $DEMO/%s are byte for byte what they were", filepath.Base(repo))
	return nil
}

// numberOf wants the next number of a repo to be above every sector.
func (s *story) numberOf(ctx context.Context, dir string) (err error) {
	repo, err := lotus.OpenRepo(ctx, dir, lotus.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, repo.Close()) }()
	numbers, err := repo.Numbers(ctx)
	if err != nil {
		return err
	}
	last := uint64(len(s.sectors()) - 1)
	if got, any := numbers.Highest(); !any || got != last || numbers.NextID == nil || *numbers.NextID != last {
		return wrong(nil, "%s: the highest number in use is %d, and not %d", dir, got, last)
	}
	return nil
}

func (s *story) openHome(ctx context.Context) (*damocles.Home, error) {
	return damocles.OpenHome(ctx, Home(s.Dir), damocles.Config{}, damocles.Options{})
}

// inHome counts damocles's sectors.
func (s *story) inHome(ctx context.Context) (n int, err error) {
	home, err := s.openHome(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	err = home.Each(ctx, damocles.Offline, nil, func(damocles.KV) error { n++; return nil })
	return n, err
}

// nextOfHome is the number that damocles would give to its next sector.
func (s *story) nextOfHome(ctx context.Context) (_ abi.SectorNumber, err error) {
	home, err := s.openHome(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, home.Close()) }()
	last, _, err := home.LastNumber(ctx, miner)
	return abi.SectorNumber(last) + 1, err
}

func (s *story) notThere(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return wrong(err, "%s was made in a dry run", path)
	}
	return nil
}

// hashes are the SHA-256 of all sector files in the stores below dir, by their
// paths in the store: a sector may go from one store to another.
func hashes(dir string) (map[string][32]byte, error) {
	out := map[string][32]byte{}
	return out, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		_, inStore, _ := strings.Cut(rel, string(filepath.Separator))
		kind, _, _ := strings.Cut(inStore, string(filepath.Separator))
		if _, ok := sector.ParseFileKind(kind); !ok {
			return nil // what is beside the sectors
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if _, twice := out[inStore]; twice {
			return wrong(nil, "two stores have %s", inStore)
		}
		out[inStore] = sha256.Sum256(raw)
		return nil
	})
}

// noteOwn notes the files that came since the start, and none of those before: what
// has become of them is not how they were.
func (s *story) noteOwn() error {
	now, err := hashes(s.storage())
	for name, sum := range now {
		if _, ok := s.files[name]; !ok {
			s.files[name] = sum
		}
	}
	return err
}

// sameFiles wants every sector file to be there, with the bytes that it was sealed
// with, and no other.
func (s *story) sameFiles() error {
	now, err := hashes(s.storage())
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if got, ok := now[name]; !ok || got != s.files[name] {
			return wrong(nil, "the file %s is gone, or has other bytes than it was sealed with", name)
		}
	}
	if len(now) != len(s.files) {
		return wrong(nil, "there are %d sector files, and %d were sealed", len(now), len(s.files))
	}
	s.same(len(s.files), "sector files have the SHA-256 that they were sealed with")
	return nil
}
