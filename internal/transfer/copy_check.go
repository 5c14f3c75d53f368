package transfer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
)

// readBack holds the staged file against what was read from the source: its
// size, and, if want has a hash, its content as it is read again, from the disk
// where the system lets itself be told so. It returns what the file is.
func (c *copier) readBack(ctx context.Context, staged string, want fileResult) (fs.FileInfo, error) {
	fi, err := c.lookBack(ctx, staged, want)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", staged, err)
	}
	return fi, nil
}

func (c *copier) lookBack(ctx context.Context, staged string, want fileResult) (fs.FileInfo, error) {
	fi, err := os.Lstat(staged)
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case !fi.Mode().IsRegular():
		return nil, notRegular(fi.Mode())
	case fi.Size() != want.Size:
		return nil, fmt.Errorf("it has %d bytes, the source had %d", fi.Size(), want.Size)
	case !want.Hashed:
		return fi, nil
	}
	f, _, err := c.openSource(staged, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dropCache(f, 0, 0)
	got, err := c.hashOpen(ctx, f)
	if err == nil && got.Sum != want.Sum {
		err = fmt.Errorf("its SHA-256 is %x, that of the source is %x", got.Sum, want.Sum)
	}
	return fi, err
}

// hashFile takes the SHA-256 of the regular file path. It counts no bytes and
// keeps to no limit.
func (c *copier) hashFile(ctx context.Context, path string) (fileResult, error) {
	f, _, err := c.openSource(path, c.follow)
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
