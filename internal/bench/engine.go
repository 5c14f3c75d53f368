package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/sector"
	"damocles-manager/internal/store"
	"damocles-manager/internal/transfer"
)

// runEngine copies or moves the sectors of a store with the file engine alone.
// A replica may have any size, so that the figures can be those of other tools;
// size says it where all have the same, and need not be looked at.
func runEngine(mode, verify string, size int64, from, to string) error {
	source, target := store.Store{Dir: from}, store.Store{Dir: to}
	sectors := func() iter.Seq2[transfer.Sector, error] {
		return func(yield func(transfer.Sector, error) bool) {
			err := source.Each(context.Background(), sector.Sealed, func(e store.Entry) error {
				s := transfer.Sector{ID: e.ID, Size: abi.SectorSize(size)}
				if size == 0 {
					info, err := os.Stat(source.Path(sector.Sealed, e.ID))
					if err != nil {
						return err
					}
					s.Size = abi.SectorSize(info.Size())
				}
				for _, kind := range []sector.FileKind{sector.Sealed, sector.Cache} {
					s.Objects = append(s.Objects, transfer.Object{Kind: kind, From: source.Path(kind, e.ID), To: target.Path(kind, e.ID)})
				}
				if !yield(s, nil) {
					return io.EOF
				}
				return nil
			})
			if err != nil && !errors.Is(err, io.EOF) {
				yield(transfer.Sector{}, err)
			}
		}
	}
	report, err := transfer.Run(context.Background(), transfer.Options{
		Keep: mode == "copy", Verify: transfer.Verify(verify), Target: to, Journal: noJournal{},
	}, sectors)
	if err == nil && report.Failed > 0 {
		err = fmt.Errorf("%d sectors failed, the first: %w", report.Failed, report.Failures[0].Err)
	}
	return err
}

type noJournal struct{}

func (noJournal) Intend(context.Context, []transfer.Sector) error { return nil }

// limits prints what the machine itself can do, for the figures to be held against.
func limits(dir string) error {
	const size = 1 << 30
	buf := make([]byte, 16<<20)
	rate := func(name string, work func() error) error {
		start := time.Now()
		if err := work(); err != nil {
			return err
		}
		fmt.Printf("limit: %s: %.2f GiB/s\n", name, 1/time.Since(start).Seconds())
		return nil
	}
	path := filepath.Join(dir, "limits")
	defer func() { _ = os.Remove(path) }()
	for _, limit := range []struct {
		name string
		work func() error
	}{
		{"SHA-256, one core", func() error {
			h := sha256.New()
			for range size / len(buf) {
				h.Write(buf)
			}
			return nil
		}},
		{"memory copied, one core", func() error {
			other := make([]byte, len(buf))
			for range size / len(buf) {
				copy(other, buf)
			}
			return nil
		}},
		{"disk, written and synced", func() error {
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			defer f.Close()
			for range size / len(buf) {
				if _, err := f.Write(buf); err != nil {
					return err
				}
			}
			return f.Sync()
		}},
	} {
		if err := rate(limit.name, limit.work); err != nil {
			return err
		}
	}
	return nil
}
