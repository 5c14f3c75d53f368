//go:build ignore

// Holds the hash of the proof check against the pure-Go Poseidon that lotus and
// curio link. bench_post.sh builds it in a module of its own, as this project does
// not depend on that library.
package main

import (
	"fmt"
	"log"
	"math/big"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/triplewz/poseidon"

	"damocles-manager/internal/post"
)

// theirs hashes by the other library, in its quickest mode, with constants and
// inputs made before.
func theirs(arity int) func(in []*big.Int) *big.Int {
	constants, err := poseidon.GenPoseidonConstants[*fr.Element](arity + 1)
	if err != nil {
		log.Fatal(err)
	}
	return func(in []*big.Int) *big.Int {
		out, err := poseidon.Hash(in, constants, poseidon.OptimizedStatic)
		if err != nil {
			log.Fatal(err)
		}
		return out
	}
}

// nodes are the same inputs for both.
func nodes(n int) (raw []byte, numbers []*big.Int) {
	for i := range n {
		node := make([]byte, post.NodeSize)
		for j := range node {
			node[j] = byte(i*31+j*7) & 0x3f
		}
		raw = append(raw, node...)
		slices.Reverse(node)
		numbers = append(numbers, new(big.Int).SetBytes(node))
	}
	return raw, numbers
}

// agree makes sure that both compute the same function, with arity 2, for which
// alone the library has the right domain tag.
func agree() {
	raw, numbers := nodes(2)
	out := make([]byte, post.NodeSize)
	if err := post.Hash2().Sum(out, raw); err != nil {
		log.Fatal(err)
	}
	slices.Reverse(out)
	if got := theirs(2)(numbers); got.Cmp(new(big.Int).SetBytes(out)) != 0 {
		log.Fatalf("they have %x, we %x", got, out)
	}
}

func main() {
	log.SetFlags(0)
	pairs, err := strconv.Atoi(os.Args[1])
	if err != nil || pairs < 1 {
		log.Fatal("usage: compare PAIRS")
	}
	agree()
	const ours, each = 10_000, 1_000
	raw, numbers := nodes(8)
	out, hash := make([]byte, post.NodeSize), theirs(8)
	var us, them, ratio []float64
	for range pairs {
		start := time.Now()
		for range ours {
			if err := post.Hash8().Sum(out, raw); err != nil {
				log.Fatal(err)
			}
		}
		a := time.Since(start).Seconds() / ours
		start = time.Now()
		for range each {
			hash(numbers)
		}
		b := time.Since(start).Seconds() / each
		us, them, ratio = append(us, a*1e6), append(them, b*1e6), append(ratio, b/a)
	}
	fmt.Printf("hashes of arity 8, medians of %d pairs: ours %s µs, github.com/triplewz/poseidon v0.0.2 %s µs, %s times as fast\n",
		pairs, show(us), show(them), show(ratio))
}

func show(all []float64) string {
	slices.Sort(all)
	return fmt.Sprintf("%.1f (%.1f to %.1f)", all[len(all)/2], all[0], all[len(all)-1])
}
