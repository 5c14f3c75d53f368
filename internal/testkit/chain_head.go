package testkit

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"
)

var timestamp = regexp.MustCompile(`"Timestamp":\d+`)

// ServeHead gives the head of a stand-in of a chain node another time than now: where
// it is long past, the node is not in sync. It has to be called before anybody else
// calls the stand-in.
func (s *Server) ServeHead(due time.Time) *Server {
	return s.serveHead(func() time.Time { return due })
}

func (s *Server) serveHead(due func() time.Time) *Server {
	was := s.methods["Filecoin.ChainHead"].call
	s.methods["Filecoin.ChainHead"] = method{params: 0, call: func(params []json.RawMessage) (any, error) {
		result, err := was(params)
		if err != nil {
			return result, err
		}
		raw, err := json.Marshal(result)
		if err != nil {
			return nil, err
		}
		if !timestamp.Match(raw) {
			return nil, fmt.Errorf("the fixture has no blocks: %s", raw)
		}
		return json.RawMessage(timestamp.ReplaceAll(raw, fmt.Appendf(nil, `"Timestamp":%d`, due().Unix()))), nil
	}}
	return s
}
