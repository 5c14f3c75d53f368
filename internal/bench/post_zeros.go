package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	commcid "github.com/filecoin-project/go-fil-commcid"
	"github.com/filecoin-project/go-state-types/abi"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/post"
	"damocles-manager/internal/sector"
)

const zeroSize = 32 << 30

// zeroSector is a sector whose replica is all zero, as fake sealing makes it: a
// sparse file, and trees in which every row is one node again and again.
type zeroSector struct {
	shape post.Shape
	tree  []byte // the file of each base tree
	pAux  post.PAux
	commR post.Node
}

func newZeroSector() (z zeroSector, err error) {
	if z.shape, err = post.ShapeOf(zeroSize); err != nil {
		return z, err
	}
	row, nodes := post.Node{}, 1<<(3*z.shape.Height)
	for k := 1; k <= z.shape.Height; k++ {
		if row, err = post.Hash8().Nodes(row, row, row, row, row, row, row, row); err != nil {
			return z, err
		}
		if nodes /= 8; k > z.shape.Discards() {
			z.tree = append(z.tree, bytes.Repeat(row[:], nodes)...)
		}
	}
	roots := make([]post.Node, z.shape.Trees())
	for i := range roots {
		roots[i] = row
	}
	z.pAux.CommC = post.Node{42}
	if z.pAux.CommRLast, err = z.shape.Combine(roots); err != nil {
		return z, err
	}
	z.commR, err = z.pAux.CommR()
	return z, err
}

// zeroID is the sector that the others are links of.
func zeroID(n int) sector.ID { return sector.ID{Miner: 1000, Number: abi.SectorNumber(n)} }

// makeZeros makes dir/store with one such sector and hard links of it, and
// dir/home, in whose metadata their CommR is.
func makeZeros(dir string, sectors int) error {
	z, err := newZeroSector()
	if err != nil {
		return err
	}
	store := filepath.Join(dir, "store")
	first := filepath.Join(store, "cache", zeroID(0).String())
	for _, d := range []string{filepath.Join(store, "sealed"), first} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	files := map[string][]byte{sector.PAuxName: append(z.pAux.CommC[:], z.pAux.CommRLast[:]...), sector.TAuxName: make([]byte, 300)}
	for _, name := range z.shape.TreeNames() {
		files[name] = z.tree
	}
	for name, raw := range files {
		if err := os.WriteFile(filepath.Join(first, name), raw, 0o644); err != nil {
			return err
		}
	}
	replica := filepath.Join(store, "sealed", zeroID(0).String())
	if err := errors.Join(os.WriteFile(replica, nil, 0o644), os.Truncate(replica, zeroSize)); err != nil {
		return err
	}
	for n := 1; n < sectors; n++ {
		id := zeroID(n).String()
		if err := os.Link(replica, filepath.Join(store, "sealed", id)); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(store, "cache", id), 0o755); err != nil {
			return err
		}
		for name := range files {
			if err := os.Link(filepath.Join(first, name), filepath.Join(store, "cache", id, name)); err != nil {
				return err
			}
		}
	}
	return zeroHome(filepath.Join(dir, "home"), store, sectors, z.commR)
}

func zeroHome(dir, store string, sectors int, commR post.Node) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	config := fmt.Appendf(nil, "[Common]\n[[Common.PersistStores]]\nName = \"store\"\nPath = %q\n", store)
	if err := os.WriteFile(filepath.Join(dir, "sector-manager.cfg"), config, 0o600); err != nil {
		return err
	}
	ctx := context.Background()
	home, err := damocles.OpenHome(ctx, dir, damocles.Config{}, damocles.Options{Write: true, Create: true})
	if err != nil {
		return err
	}
	data, err := commcid.DataCommitmentV1ToCID(make([]byte, post.NodeSize))
	if err != nil {
		return err
	}
	var states, index []damocles.Change
	for n := range sectors {
		rec := &sector.Record{ID: zeroID(n), SealProof: abi.RegisteredSealProof_StackedDrg32GiBV1_1, Status: sector.Finished}
		rec.Original.CommR, rec.Original.CommD = post.CommRToCID(commR), data
		state, _, err := damocles.FromRecord(rec)
		if err != nil {
			return err
		}
		value, err := damocles.EncodeState(state)
		if err != nil {
			return err
		}
		changes, err := home.IndexChanges(ctx, state.ID, false, "store", "store")
		if err != nil {
			return err
		}
		key := damocles.StateKey(damocles.Offline, state.ID.Miner, state.ID.Number)
		states = append(states, damocles.Change{Store: damocles.CollectionOffline, Key: key, After: value})
		index = append(index, changes...)
	}
	return errors.Join(home.Apply(ctx, append(states, index...)), home.Close())
}

// windowFigures checks the first sector and prints what that took.
func windowFigures(dir string) error {
	z, err := newZeroSector()
	if err != nil {
		return err
	}
	id, at := zeroID(0), filepath.Join(dir, "store")
	s := post.Sector{Number: id.Number, Shape: z.shape, CommR: z.commR,
		Replica: filepath.Join(at, "sealed", id.String()), Cache: filepath.Join(at, "cache", id.String())}
	start := time.Now()
	r, err := post.NewChecker(post.Options{}).Check(context.Background(), s,
		post.Plan{Leaves: z.shape.Window(post.WindowV1_1, post.Randomness{}, id.Number, 0)})
	took := time.Since(start)
	if err != nil || r.Verdict() != post.Provable || r.Segments == 0 {
		return fmt.Errorf("the sector of zeros: %s, %v: %w", r.Verdict(), r.Findings, err)
	}
	fmt.Printf("Window check of a 32 GiB sector: %d challenges, %d bytes in %d reads, %d hashes, %.1f ms\n",
		post.WindowChallenges, r.Bytes, r.Reads, r.Hashes, took.Seconds()*1e3)
	return nil
}
