package sample

import (
	"encoding/binary"

	"damocles-manager/internal/sector"
)

// CacheFiles are the files of the cache directory (or update-cache) of a finished
// sector, by name: p_aux, t_aux and the tree. dir is the directory that t_aux
// names, which is where the sector was sealed; nobody reads it later.
func (s *Sealed) CacheFiles(dir string) map[string][]byte {
	return map[string][]byte{
		sector.PAuxName:        append(s.PAux.CommC[:], s.PAux.CommRLast[:]...),
		sector.TAuxName:        s.tAux(dir),
		s.Shape.TreeNames()[0]: s.Tree,
	}
}

// tAux is t_aux in bincode: the stores of the layers, of tree D, tree R and tree C
// (rust-fil-proofs porep/src/stacked/vanilla/params.rs TemporaryAux, merkletree
// src/store/mod.rs StoreConfig).
func (s *Sealed) tAux(dir string) []byte {
	leaves := s.Shape.Leaves()
	octree := (leaves*8 - 1) / 7
	out := binary.LittleEndian.AppendUint64(nil, layers)
	store := func(id string, size uint64, discarded int) {
		for _, text := range []string{dir, id} {
			out = binary.LittleEndian.AppendUint64(out, uint64(len(text)))
			out = append(out, text...)
		}
		out = binary.LittleEndian.AppendUint64(append(out, 1), size) // Some(size)
		out = binary.LittleEndian.AppendUint64(out, uint64(discarded))
	}
	store("layer-1", leaves, 0)
	store("layer-2", leaves, 0)
	store("tree-d", 2*leaves-1, 0)
	store("tree-r-last", octree, s.Shape.Discards())
	store("tree-c", octree, 0)
	return out
}
