package fault

import (
	"encoding/json"
	"testing"
)

func TestJSON(t *testing.T) {
	var into struct {
		A struct{ B uint64 }
	}
	for _, tt := range []struct{ raw, want string }{
		{`{"A":{"B":"x"}}`, "A.B is a JSON string, which does not belong there"},
		{`[1]`, "a JSON array does not belong there"},
		{`{"A":{"B":-1}}`, "A.B is a JSON number -1, which does not belong there"},
		{`{"A"`, "unexpected end of JSON input"},
	} {
		if got := JSON(json.Unmarshal([]byte(tt.raw), &into)); got == nil || got.Error() != tt.want {
			t.Errorf("%s: got %v, want %s", tt.raw, got, tt.want)
		}
	}
	if got := JSON(nil); got != nil {
		t.Errorf("no error: got %v", got)
	}
}
