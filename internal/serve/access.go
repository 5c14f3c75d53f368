package serve

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// refusal is a request that is answered with a status and a line of text.
type refusal struct {
	status int
	text   string
}

// access says what the sender of a request may do.
func (s *Server) access(r *http.Request) (Perm, *refusal) {
	if token := tokenOf(r); token != "" && s.opts.Tokens != nil {
		if perm, ok := s.opts.Tokens.Perm(token); ok && perm != None {
			return perm, nil
		}
	}
	if !s.opts.Open {
		return None, &refusal{http.StatusUnauthorized, ""}
	}
	if text := foreign(r); text != "" {
		return None, &refusal{http.StatusForbidden, text}
	}
	return Admin, nil
}

// Guard lets nobody come to h who might not call a method that needs perm.
func (s *Server) Guard(perm Perm, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		has, no := s.access(r)
		if no == nil && has < perm {
			no = &refusal{http.StatusForbidden, "the token does not allow this: it needs " + perm.String()}
		}
		if no != nil {
			s.refuse(w, r, time.Now(), no)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// tokenOf takes the token from the header or, as lotus allows, from the query.
func tokenOf(r *http.Request) string {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, token, _ := strings.Cut(h, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return ""
		}
		return strings.TrimSpace(token)
	}
	if !strings.Contains(r.URL.RawQuery, "token=") {
		return ""
	}
	return r.URL.Query().Get("token")
}

// foreign says why a request may come from a web page rather than from a
// program on this machine, or "". A page can post here from any site, and with a
// name that it lets point to 127.0.0.1 it could read the answer, too. What a proxy on
// this machine hands on comes from elsewhere as well.
func foreign(r *http.Request) string {
	const next = "call it as 127.0.0.1 from this machine, or send a token with Authorization: Bearer"
	if r.Host != "" && !localHost(r.Host) {
		return "the Host of the request is not this machine: " + next
	}
	for _, origin := range r.Header["Origin"] {
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || !localHost(u.Host) {
			return "the request comes from a web page of another host: " + next
		}
	}
	for by := range r.Header {
		if by == "Forwarded" || by == "Via" || by == "X-Real-Ip" || strings.HasPrefix(by, "X-Forwarded-") {
			return "the request came through a proxy, which others may reach: send a token with Authorization: Bearer"
		}
	}
	for _, site := range r.Header["Sec-Fetch-Site"] {
		if site != "same-origin" && site != "none" {
			return "the request comes from a web page of another site: " + next
		}
	}
	return ""
}

// localHost is whether a host, with or without a port, is this machine by its
// own name or address. It never asks a resolver.
func localHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
