package fault

import (
	"encoding/json"
	"errors"
	"fmt"
)

// JSON puts an error of encoding/json into words that name no types of Go. Other
// errors stay as they are.
func JSON(err error) error {
	bad, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	if bad.Field != "" {
		return fmt.Errorf("%s is a JSON %s, which does not belong there", bad.Field, bad.Value)
	}
	return fmt.Errorf("a JSON %s does not belong there", bad.Value)
}
