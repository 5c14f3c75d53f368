package serve

import (
	"encoding/json"
	"testing"
)

// Counting by hand must agree with decoding.
func FuzzParams(f *testing.F) {
	for _, s := range []string{`[]`, `[ ]`, `null`, `[1]`, `[null,""]`, `["\\",[",",{"]":1}],{}]`, `{}`, `"[1,2]"`, `[[[]],[]]`, `true`, `-1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var value json.RawMessage
		if json.Unmarshal(raw, &value) != nil {
			return
		}
		var want []json.RawMessage
		wantErr := json.Unmarshal(value, &want)
		got, fail := (&request{Params: value}).countParams()
		if (fail != nil) != (wantErr != nil) || fail == nil && got != len(want) {
			t.Errorf("%s: counted %d, %v; decoded %d, %v", raw, got, fail, len(want), wantErr)
		}
		if fail != nil && fail.Code != CodeParse {
			t.Errorf("code %d", fail.Code)
		}
	})
}
