package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"damocles-manager/internal/damocles"
	"damocles-manager/internal/fault"
)

// checkConfig prints everything that is wrong with the configuration of a home,
// and refuses one that damocles could not be started with, or that would have
// it do another thing than it says. A home without one is as good: all is
// default then. What is returned is what was checked: the file is read once.
func (a *app) checkConfig(home string) (damocles.Config, error) {
	path, err := damocles.ConfigPath(home, a.env.Getenv)
	if err != nil {
		return damocles.Config{}, err
	}
	raw, err := damocles.ReadConfigFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return damocles.DefaultConfig(path), nil
	}
	if err != nil {
		return damocles.Config{}, err
	}
	fatal := 0
	for _, p := range damocles.CheckConfig(path, raw) {
		text := configLine(p)
		if p.Fatal {
			fatal++
			a.ui.Notice(text)
		} else {
			a.ui.Info(text)
		}
	}
	if fatal > 0 {
		return damocles.Config{}, fault.Refuse("correct what is said above of its lines, and run the command again",
			"%s cannot be used as it is: %s", path, places(fatal))
	}
	return damocles.ParseConfig(path, raw)
}

func places(n int) string {
	if n == 1 {
		return "1 place is wrong"
	}
	return fmt.Sprintf("%d places are wrong", n)
}

// configLine is a problem as compilers write theirs, so that editors find it.
func configLine(p damocles.ConfigProblem) string {
	text := p.Text
	if p.Key != "" {
		text = p.Key + ": " + text
	}
	if !p.Fatal {
		text = "remark: " + text
	}
	return fmt.Sprintf("%s:%d: %s\n  hint: %s", damocles.ConfigName, p.Line, text, p.Hint)
}
