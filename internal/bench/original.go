package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// copyOriginally copies a directory as the original damocles-manager does: five
// at once, through a buffer of 1 MiB, straight to the final name, without a sync.
func copyOriginally(from, to string) error {
	const jobs, buffer = 5, 1 << 20
	var g errgroup.Group
	g.SetLimit(jobs)
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		g.Go(func() error { return copyPlainly(path, target, buffer) })
		return nil
	})
	if werr := g.Wait(); err == nil {
		err = werr
	}
	return err
}

func copyPlainly(from, to string, buffer int) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	// Without the wrappers, io.Copy would have the kernel do it.
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, make([]byte, buffer))
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
