package transfer

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// fill copies from l.at to the end.
func (l *largeCopy) fill(ctx context.Context, marks chan<- mark) error {
	if l.sum == nil && l.at == 0 {
		if err := l.fs.Step("write", l.staged); err != nil {
			return err
		}
		if cloneFile(l.out.File(), l.in) == nil {
			l.add(l.fi.Size())
			return nil
		}
	}
	if l.at == 0 {
		if err := l.out.Allocate(l.fi.Size()); err != nil {
			return err
		}
	}
	readAhead(l.in)
	if l.sum == nil {
		if err := l.byKernel(ctx, marks); err != nil || l.at == l.fi.Size() {
			return err
		}
	}
	return l.byHand(ctx, marks)
}

// byKernel has the kernel copy, up to where it can.
func (l *largeCopy) byKernel(ctx context.Context, marks chan<- mark) error {
	behind := readBehind{f: l.in, window: l.sizes.window, dropped: l.at}
	for l.at < l.fi.Size() {
		n := l.limit.piece(min(l.sizes.window, l.toMark(l.at)))
		if err := l.limit.wait(ctx, n); err != nil {
			return err
		}
		if err := l.fs.Step("read", l.in.Name()); err != nil {
			return err
		}
		if err := l.fs.Step("write", l.staged); err != nil {
			return err
		}
		n, err := copyRange(l.out.File(), l.in, l.at, n)
		if err != nil || n == 0 {
			return err
		}
		if err := l.wrote(ctx, marks, n, nil); err != nil {
			return err
		}
		behind.upTo(l.at)
	}
	return nil
}

// piece is a part of the file on its way from the reader to the writer.
type piece struct {
	buf  *[]byte
	n    int64
	hash []byte // state of the hash behind it, if a mark belongs there
}

// byHand reads and hashes in one goroutine and writes in another.
func (l *largeCopy) byHand(ctx context.Context, marks chan<- mark) error {
	pieces := make(chan piece, 2)
	g, ctx := errgroup.WithContext(ctx)
	start := l.at
	g.Go(func() error {
		defer close(pieces)
		return l.read(ctx, start, pieces)
	})
	g.Go(func() error { return l.write(ctx, pieces, marks) })
	return g.Wait()
}

func (l *largeCopy) read(ctx context.Context, at int64, pieces chan<- piece) error {
	behind := readBehind{f: l.in, window: l.sizes.window, dropped: at}
	for at < l.fi.Size() {
		p := piece{n: l.limit.piece(min(l.sizes.buffer, l.toMark(at)))}
		if err := l.limit.wait(ctx, p.n); err != nil {
			return err
		}
		p.buf = l.large.Get().(*[]byte)
		data := (*p.buf)[:p.n]
		if err := l.readPiece(l.in, l.fi, data, at); err != nil {
			return err
		}
		if l.sum != nil {
			l.sum.Write(data)
		}
		at += p.n
		behind.upTo(at)
		if l.isMark(at) {
			state, err := marshalHash(l.sum)
			if err != nil {
				return err
			}
			p.hash = state
		}
		select {
		case pieces <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (l *largeCopy) write(ctx context.Context, pieces <-chan piece, marks chan<- mark) error {
	for p := range pieces {
		if _, err := l.out.WriteAt((*p.buf)[:p.n], l.at); err != nil {
			return err
		}
		l.large.Put(p.buf)
		if err := l.wrote(ctx, marks, p.n, p.hash); err != nil {
			return err
		}
	}
	return nil
}
