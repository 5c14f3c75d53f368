package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"damocles-manager/internal/fault"
)

// flagError says what is wrong with a flag, in words of ours.
func flagError(cmd *cobra.Command, err error) error {
	hint := "`" + cmd.CommandPath() + " --help` lists the flags"
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := bad.GetFlag()
		return fault.BadUsage(hint, "--%s %q: it takes %s", f.Name, bad.GetValue(), takes(f.Value.Type()))
	}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && unknown.GetSpecifiedShortnames() != "" {
		// What follows the letter may be a token, as in -token=….
		return fault.BadUsage(hint, "unknown flag -%s: flags are written with two dashes", unknown.GetSpecifiedName())
	}
	return fault.BadUsage(hint, "%w", err)
}

func takes(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "uint64":
		return "a whole number, 0 or higher"
	case "int":
		return "a whole number"
	case "duration":
		return "a time, as 90s or 2m"
	default:
		return "another kind of value"
	}
}

// checkFlags refuses a flag that is given without a value. It mostly comes from
// a shell variable that is not set, or $(cat …) of a file that is not there; to
// go on with the default would be to work on something else than was meant.
func checkFlags(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && f.Value.Type() == "string" && f.Value.String() == "" {
			err = fault.BadUsage("give it a value, or leave it out; if it comes from a variable or a file, that is empty",
				"--%s is empty", f.Name)
		}
	})
	return err
}

// maxJobs is more than any peer answers at once, and little enough to start.
const maxJobs = 1024

func checkJobs(n int) error {
	if n < 1 || n > maxJobs {
		return fault.BadUsage("the default, 16, suits most; give a number from 1 to 1024", "--jobs %d is out of range", n)
	}
	return nil
}

// noArgs refuses what stands behind the flags.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fault.BadUsage("`"+cmd.CommandPath()+" --help` shows how it is used",
		"%s takes no arguments, but was given %q", cmd.CommandPath(), strings.Join(args, " "))
}
