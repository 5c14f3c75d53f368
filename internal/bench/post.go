package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"golang.org/x/sync/errgroup"

	"damocles-manager/internal/post"
)

// proofFigures prints, or makes what is needed to measure.
func proofFigures(what, dir string, runs, sectors int) error {
	switch {
	case what == "hashes" && dir == "":
		return hashFigures(runs)
	case what == "zeros" && dir != "":
		return makeZeros(dir, sectors)
	case what == "window" && dir != "":
		return windowFigures(dir)
	}
	return fmt.Errorf("-post is hashes, zeros DIR or window DIR, not %s %s", what, dir)
}

// atLeast is how long one measurement takes at least.
const atLeast = 200 * time.Millisecond

// repeated does something so many times.
type repeated func(times int) error

// mulChain multiplies as gnark-crypto's own benchmark does: each product waits for
// the one before.
func mulChain(times int) error {
	x := fr.NewElement(7)
	y := x
	for range times {
		x.Mul(&x, &y)
	}
	return notZero(x)
}

// mulApart multiplies eight numbers that do not wait for each other.
func mulApart(times int) error {
	var x [8]fr.Element
	for i := range x {
		x[i] = fr.NewElement(uint64(7 + i))
	}
	y := x[0]
	for i := range times {
		x[i%8].Mul(&x[i%8], &y)
	}
	return notZero(x[0])
}

// notZero keeps the work from being left out.
func notZero(x fr.Element) error {
	if x.IsZero() {
		return errors.New("a product is zero")
	}
	return nil
}

// hash8 hashes eight nodes, of which the first is the hash before.
func hash8(times int) error {
	h, buf := post.Hash8(), make([]byte, 8*post.NodeSize)
	for i := range buf {
		buf[i] = byte(i) & 0x3f
	}
	for range times {
		if err := h.Sum(buf, buf); err != nil {
			return err
		}
	}
	return nil
}

// calibrated is how many times fill that time.
func calibrated(r repeated) (int, error) {
	for n := 100; ; n *= 2 {
		took, err := onCores(1, n, r)
		if err != nil || took > atLeast/4 {
			return int(float64(n) * atLeast.Seconds() / took.Seconds()), err
		}
	}
}

// onCores does it so many times on each of the cores, and returns how long all
// together took.
func onCores(cores, times int, r repeated) (time.Duration, error) {
	var g errgroup.Group
	start := time.Now()
	for range cores {
		g.Go(func() error { return r(times) })
	}
	err := g.Wait()
	return time.Since(start), err
}

// each is the time of one of the works of a round, on one core and on all.
type each struct{ one, all time.Duration }

// gain is how many times as much all cores do.
func (e each) gain(cores int) float64 { return float64(cores) * e.one.Seconds() / e.all.Seconds() }

// hashFigures prints what a hash of arity 8 costs in multiplications, and what the
// second core gains, the works in turn so that other load meets all of them.
func hashFigures(runs int) error {
	cores := runtime.GOMAXPROCS(0)
	works := []repeated{mulChain, mulApart, hash8}
	times := make([]int, len(works))
	for i, w := range works {
		var err error
		if times[i], err = calibrated(w); err != nil {
			return err
		}
	}
	rounds := make([][]each, runs)
	for r := range rounds {
		rounds[r] = make([]each, len(works))
		for i, w := range works {
			var err error
			if rounds[r][i].one, err = onCores(1, times[i], w); err != nil {
				return err
			}
			if rounds[r][i].all, err = onCores(cores, times[i], w); err != nil {
				return err
			}
		}
	}
	ns := func(round []each, i int) float64 { return round[i].one.Seconds() * 1e9 / float64(times[i]) }
	show := func(name, unit string, of func([]each) float64) {
		var all []float64
		for _, round := range rounds {
			all = append(all, of(round))
		}
		slices.Sort(all)
		fmt.Printf("%-64s %9.2f%s (%.2f to %.2f)\n", name, all[len(all)/2], unit, all[0], all[len(all)-1])
	}
	fmt.Printf("hashes and multiplications, medians of %d pairs, %d cores:\n", runs, cores)
	show("fr.Element.Mul, each waits for the one before", " ns", func(r []each) float64 { return ns(r, 0) })
	show("fr.Element.Mul, eight beside each other", " ns", func(r []each) float64 { return ns(r, 1) })
	show("hash of arity 8", " ns", func(r []each) float64 { return ns(r, 2) })
	show("hash of arity 8, in multiplications that wait", "", func(r []each) float64 { return ns(r, 2) / ns(r, 0) })
	show("hash of arity 8, in multiplications beside each other", "", func(r []each) float64 { return ns(r, 2) / ns(r, 1) })
	show("all cores against one, multiplications", "", func(r []each) float64 { return r[0].gain(cores) })
	show("all cores against one, hashes", "", func(r []each) float64 { return r[2].gain(cores) })
	show("all cores against one, hashes, where multiplications gain all", "", func(r []each) float64 {
		return float64(cores) * r[2].gain(cores) / r[0].gain(cores)
	})
	return nil
}
