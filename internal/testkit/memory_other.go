//go:build !linux

package testkit

func memoryDir() string { return "" }
