// Package damocles knows damocles-manager, one of the systems that sectors are
// carried between: where its home is and what its configuration says, the
// databases of the home, in Badger or MongoDB, with their exact keys, who holds
// them, the form of a sector's state and how it becomes a neutral record and
// back, and the JSON-RPC of its daemon.
//
// It decides nothing about a migration: which sectors are taken, what happens
// on a conflict and what is journalled belongs to package migrate. It knows
// nothing of lotus, and it prints nothing.
package damocles
