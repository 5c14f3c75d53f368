package rpc

import (
	"net"
	"net/url"
)

// HostPort returns the host and port that the endpoint's calls go to.
func (e Endpoint) HostPort() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
