// Command manual writes the manual pages and the completions of the shells from
// the commands themselves, and the list of the licences of what is linked in. Its
// tests hold the documents against the code: links, error texts, names of tests.
// It is no part of the product.
//
//go:generate go run .
package main
