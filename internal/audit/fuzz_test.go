package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"damocles-manager/internal/post"
)

// Whatever stands in a file of results, it is refused, or all its whole lines are
// taken, with the verdicts that they name, and so is what is added after them.
func FuzzResume(f *testing.F) {
	head, err := json.Marshal(headLine)
	if err != nil {
		f.Fatal(err)
	}
	line, err := json.Marshal(resumeLine{Key: key{1}, Sector: "s-t01000-1", Plan: "window", Verdict: post.NotProvable.String(),
		Findings: []post.Finding{{Name: post.PAuxShort, File: "/x/p_aux", Offset: -1, Text: "it is short"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil))
	f.Add(bytes.Join([][]byte{head, line, nil}, []byte{'\n'}))
	f.Add(bytes.Join([][]byte{head, line, line[:50]}, []byte{'\n'}))
	f.Add([]byte(string(head) + "\n" + strings.Replace(string(line), "findings", "Findings", 1) + "\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := &Resume{done: map[key]saved{}}
		end, why, err := r.lines(t.Context(), bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if why != "" {
			return
		}
		if end > int64(len(raw)) || raw[end-1] != '\n' || bytes.IndexByte(raw[end:], '\n') >= 0 {
			t.Errorf("%q: the last whole line ends at %d", raw, end)
		}
		for k, s := range r.done {
			if v := verdictOf(s.findings).String(); !bytes.Contains(raw, []byte(v)) && !bytes.ContainsRune(raw, '\\') {
				t.Errorf("%x is %s, which no line says", k, v)
			}
		}
		delete(r.done, key{1})
		again := &Resume{done: map[key]saved{}}
		_, why, err = again.lines(t.Context(), bytes.NewReader(bytes.Join([][]byte{raw[:end], line, {'\n'}}, nil)))
		if err != nil || why != "" || again.Len() != r.Len()+1 {
			t.Errorf("with one line more: %s, %v, %d results and not %d", why, err, again.Len(), r.Len()+1)
		}
	})
}
