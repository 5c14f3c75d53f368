package testkit

import (
	"encoding/json"
	"fmt"
	"time"
)

// ServeHead gives the head of a stand-in of a chain node a time: that of the
// fixture is long past, and a node whose head is so old is not in sync. It has to
// be called before anybody else calls the stand-in.
func (s *Server) ServeHead(due time.Time) *Server {
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
		var head map[string]any
		if err := json.Unmarshal(raw, &head); err != nil {
			return nil, err
		}
		blocks, ok := head["Blocks"].([]any)
		if !ok || len(blocks) == 0 {
			return nil, fmt.Errorf("the fixture has no blocks: %s", raw)
		}
		for _, b := range blocks {
			if block, ok := b.(map[string]any); ok {
				block["Timestamp"] = due.Unix()
			}
		}
		return head, nil
	}}
	return s
}
