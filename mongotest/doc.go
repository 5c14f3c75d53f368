// Package mongotest tests a damocles home that is kept in MongoDB on a real
// server of the wire protocol: FerretDB v1.24 with SQLite, started in the test.
// It is a module of its own, so that nobody who builds the tool has to fetch a
// database.
//
// FerretDB is slow, so a test uses at most 300 documents. It knows no
// transactions, no replica sets, no collations and no write or read concerns,
// and two clients can change one document at the same moment: how the tool uses
// those of a MongoDB is not tested here. The parts of it that need no server are
// tested in package damocles.
package mongotest
