package testkit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
)

// ServeHistory lets a stand-in of a chain node know the tipsets of earlier heights,
// too. had says what the chain had of a sector at a height; what it leaves out, and
// everything where it is nil, was as it is now. It has to be called before anybody
// else calls the stand-in.
func (s *Server) ServeHistory(had func(number uint64, height int64) (json.RawMessage, bool)) *Server {
	const key = `[{"/":"bafy2bzacedkoa623kvi5gfis2yks7xxjl73vg7xwbojz4tpq63dd5jpfz757i"}]`
	var asked atomic.Int64
	s.methods["Filecoin.ChainGetTipSetByHeight"] = method{params: 2, call: func(params []json.RawMessage) (any, error) {
		height, err := strconv.ParseInt(string(params[0]), 10, 64)
		if err != nil || height < 0 {
			return nil, fmt.Errorf("looking for tipset with height greater than start point, or below 0: %s", params[0])
		}
		asked.Store(height)
		return json.RawMessage(fmt.Sprintf(`{"Cids":%s,"Blocks":[],"Height":%d}`, key, height)), nil
	}}
	now := s.methods["Filecoin.StateSectorGetInfo"].call
	s.methods["Filecoin.StateSectorGetInfo"] = method{params: 3, call: func(params []json.RawMessage) (any, error) {
		if string(params[2]) != key {
			return now(params)
		}
		number, err := strconv.ParseUint(string(params[1]), 10, 64)
		if err != nil {
			return nil, err
		}
		if had != nil {
			if raw, ok := had(number, asked.Load()); ok {
				return orNull(raw), nil
			}
		}
		return now([]json.RawMessage{params[0], params[1], json.RawMessage("[]")})
	}}
	return s
}
