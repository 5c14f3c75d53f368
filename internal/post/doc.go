// Package post answers whether a sector can be proven: does what lies on the disk
// give a Window and a Winning PoSt that the chain takes? It needs no proof library,
// no daemon and no network, opens files for reading only, and changes nothing.
//
// A sector that can be proven is a replica and a cache directory that belong to one
// CommR:
//
//   - p_aux holds comm_c and comm_r_last, and Poseidon of both is CommR;
//   - each tree-r-last file is a tree of arity 8 over its part of the replica,
//     without the leaves and the lowest rows, and ends with the root;
//   - the roots together make up comm_r_last;
//   - from a challenged leaf, the part of the replica around it and the stored rows
//     lead to the root.
//
// The first of these nobody else checks: the provers take CommR from the caller, so
// that lotus, curio and damocles call a sector with the cache of another one
// provable, and the chain refuses the proof.
//
// A challenge looks at a small part of the sector (at 16 KiB of 32 GiB): missing,
// truncated and swapped files and large damage show, a flipped bit does not. Only a
// full check reads everything.
//
// Checker.Check runs a Plan over a Sector and gives a Report of Findings by name.
// Formulas follow rust-fil-proofs, merkletree and neptune; each stands with its
// source at the code. Sealing is not here, nor is where sectors and their CommR
// come from.
package post
