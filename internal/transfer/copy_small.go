package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"

	"damocles-manager/internal/durable"
)

// copySmall copies a file for which every call counts.
func (c *copier) copySmall(ctx context.Context, in *os.File, fi fs.FileInfo, staged string, lazy bool) (fileResult, error) {
	out, err := c.stageNew(staged)
	if err != nil {
		return fileResult{}, err
	}
	got, err := c.fillSmall(ctx, in, fi, out)
	if err == nil {
		err = finish(out, fi, lazy)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		out.Discard()
		return fileResult{}, err
	}
	return got, nil
}

// stageNew makes the file staged, in the place of one that was left there.
func (c *copier) stageNew(staged string) (*durable.Staged, error) {
	out, err := c.fs.Stage(staged)
	if !errors.Is(err, fs.ErrExist) {
		return out, err
	}
	if err := c.fs.Drop(staged); err != nil {
		return nil, err
	}
	return c.fs.Stage(staged)
}

// finish gives the attributes, and makes the content durable unless lazy.
func finish(out *durable.Staged, fi fs.FileInfo, lazy bool) error {
	if err := out.SetAttr(fi); err != nil || lazy {
		return err
	}
	return out.Sync()
}

func (c *copier) fillSmall(ctx context.Context, in *os.File, fi fs.FileInfo, out *durable.Staged) (fileResult, error) {
	got := fileResult{Size: fi.Size(), ModTime: fi.ModTime(), Hashed: c.verify == VerifyHash}
	pooled := c.small.Get().(*[]byte)
	defer c.small.Put(pooled)
	buf := *pooled
	var sum hash.Hash // for a file of more than one piece
	for at := int64(0); at < got.Size; {
		n := c.limit.piece(min(int64(len(buf)), got.Size-at))
		if err := c.limit.wait(ctx, n); err != nil {
			return got, err
		}
		if err := c.readPiece(in, fi, buf[:n], at); err != nil {
			return got, err
		}
		if _, err := out.WriteAt(buf[:n], at); err != nil {
			return got, err
		}
		if got.Hashed && n < got.Size {
			if sum == nil {
				sum = sha256.New()
			}
			sum.Write(buf[:n])
		}
		at += n
		c.add(n)
	}
	switch {
	case sum != nil:
		sum.Sum(got.Sum[:0])
	case got.Hashed:
		got.Sum = sha256.Sum256(buf[:got.Size])
	}
	return got, changed(in, fi)
}

// readPiece fills p from offset at of in.
func (c *copier) readPiece(in *os.File, fi fs.FileInfo, p []byte, at int64) error {
	if err := c.fs.Step("read", in.Name()); err != nil {
		return err
	}
	n, err := in.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return ended(in, fi, at+int64(n))
	}
	return withoutPath(err)
}
