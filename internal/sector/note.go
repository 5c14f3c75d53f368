package sector

// Note is something about a sector that its owner should know although the
// sector could be carried: a stable code for programs, a sentence for people.
type Note struct {
	Code string `json:"code"`
	Text string `json:"text"`
}
