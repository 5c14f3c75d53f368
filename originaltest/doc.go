// Package originaltest holds our daemon against the JSON-RPC library that the
// original damocles-manager is built with: its client talks to our server, and its
// server is asked the same as ours. It is a module of its own, because that library
// is a fork under the name of another one.
package originaltest
