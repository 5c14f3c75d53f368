package transfer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
)

// readBack reads the staged file again, from the disk where the system lets
// itself be told so, and holds it against what was read from the source: its
// size, and its hash if want has one.
func (c *copier) readBack(ctx context.Context, staged string, want fileResult) error {
	f, err := c.openSource(staged, false)
	if err != nil {
		return fmt.Errorf("verify %s: %w", staged, err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("verify %s: %w", staged, err)
	}
	if fi.Size() != want.Size {
		return fmt.Errorf("verify %s: it has %d bytes, the source had %d", staged, fi.Size(), want.Size)
	}
	if !want.Hashed {
		return nil
	}
	dropCache(f, 0, 0)
	got, err := c.hashOpen(ctx, f)
	if err != nil {
		return fmt.Errorf("verify %s: %w", staged, err)
	}
	if got.Sum != want.Sum {
		return fmt.Errorf("verify %s: its SHA-256 is %x, that of the source is %x", staged, got.Sum, want.Sum)
	}
	return nil
}

// hashFile takes the SHA-256 of the regular file path. It counts no bytes and
// keeps to no limit.
func (c *copier) hashFile(ctx context.Context, path string) (fileResult, error) {
	f, err := c.openSource(path, c.follow)
	if err != nil {
		return fileResult{}, fmt.Errorf("hash %s: %w", path, err)
	}
	defer f.Close()
	got, err := c.hashOpen(ctx, f)
	if err != nil {
		return fileResult{}, fmt.Errorf("hash %s: %w", path, err)
	}
	return got, nil
}

func (c *copier) hashOpen(ctx context.Context, f *os.File) (fileResult, error) {
	fi, err := f.Stat()
	if err != nil {
		return fileResult{}, withoutPath(err)
	}
	got := fileResult{Size: fi.Size(), ModTime: fi.ModTime(), Hashed: true}
	pool := c.small
	if got.Size >= c.sizes.small {
		pool = c.large
		readAhead(f)
	}
	pooled := pool.Get().(*[]byte)
	defer pool.Put(pooled)
	buf := *pooled
	sum := sha256.New()
	behind := readBehind{f: f, window: c.sizes.window}
	for at := int64(0); at < got.Size; {
		if err := ctx.Err(); err != nil {
			return got, err
		}
		n := min(int64(len(buf)), got.Size-at)
		if err := c.readPiece(f, fi, buf[:n], at); err != nil {
			return got, err
		}
		sum.Write(buf[:n])
		at += n
		behind.upTo(at)
	}
	sum.Sum(got.Sum[:0])
	return got, changed(f, fi)
}
