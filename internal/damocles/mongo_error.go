package damocles

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"damocles-manager/internal/fault"
	"damocles-manager/internal/rpc"
)

// fail turns an error of the driver into one with a next step. Its text is
// scrubbed and the error itself dropped, because it may hold the DSN.
func (m *mongoEngine) fail(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known
	}
	text := scrub(m.config.DSN, mongoText(err))
	switch {
	case denied(err):
		return fault.New("correct the user and the password of the DSN in "+m.config.section+" of "+m.config.path+", and see that this user may read and write the database "+m.config.DatabaseName,
			"MongoDB at %s refuses access: %s", m.hosts, text)
	case unknownCommit(err):
		return fault.New("repeat the command: it looks at the database again, and writes what is not there",
			"MongoDB at %s did not say whether it wrote the transaction: %s", m.hosts, text)
	case electing(err):
		return fault.New("wait until the replica set has a primary, then repeat the command: it looks at the database again, and writes what is not there",
			"the MongoDB at %s changed its primary meanwhile: %s", m.hosts, text)
	case gone(err):
		return fault.New("see that MongoDB is up and can be reached from here, then repeat the command: it goes on where this one ended",
			"the connection to MongoDB at %s failed: %s", m.hosts, text)
	}
	return fault.New("see MongoDB's log for the reason, then repeat the command", "MongoDB at %s: %s", m.hosts, text)
}

// denied says whether the user or what it may do is the reason. A connection
// that fails at its authentication has the reason in its text only.
func denied(err error) bool {
	const unauthorized, authenticationFailed = 13, 18
	if server, ok := errors.AsType[mongo.ServerError](err); ok &&
		(server.HasErrorCode(unauthorized) || server.HasErrorCode(authenticationFailed)) {
		return true
	}
	return strings.Contains(err.Error(), "auth error") || strings.Contains(err.Error(), "unable to authenticate")
}

// electing says whether another server is, or is to become, the primary.
func electing(err error) bool {
	const primarySteppedDown, shutdown, notWritable, interrupted, notPrimary, notPrimaryOrSecondary = 189, 91, 10107, 11602, 13435, 13436
	server, ok := errors.AsType[mongo.ServerError](err)
	return ok && slices.ContainsFunc(
		[]int{primarySteppedDown, shutdown, notWritable, interrupted, notPrimary, notPrimaryOrSecondary}, server.HasErrorCode)
}

func unknownCommit(err error) bool {
	labeled, ok := errors.AsType[mongo.LabeledError](err)
	return ok && labeled.HasErrorLabel("UnknownTransactionCommitResult")
}

// gone says whether the server cannot be reached, or did not answer in time.
func gone(err error) bool {
	return mongo.IsNetworkError(err) || mongo.IsTimeout(err) || errors.Is(err, mongo.ErrClientDisconnected) ||
		strings.Contains(err.Error(), "server selection error")
}

// mongoText shortens what the driver says: where no server is found, it
// describes all that it knows of them, of which the last error tells most.
func mongoText(err error) string {
	text := firstLine(err.Error())
	if before, state, ok := strings.Cut(text, ", current topology:"); ok {
		text = before
		if _, last, ok := strings.Cut(state, "Last error: "); ok {
			last, _, _ = strings.Cut(last, " }")
			text += ": " + last
		}
	}
	return text
}

// scrub takes out of a text what a DSN has that is secret: the user, the
// password, and the values of options that may hold one.
func scrub(dsn rpc.Token, text string) string {
	for _, secret := range dsnSecrets(dsn.Reveal()) {
		if len(secret) >= 4 {
			text = strings.ReplaceAll(text, secret, "***")
			continue
		}
		// A short one is taken out as a word: its letters are in other words, too.
		word := regexp.MustCompile(`(^|[^0-9A-Za-z_])` + regexp.QuoteMeta(secret) + `($|[^0-9A-Za-z_])`)
		text = word.ReplaceAllString(text, "${1}***${2}")
	}
	return text
}

// dsnSecrets finds them in any text that was meant as a DSN, longest first: one
// that is not well formed is what errors are about.
func dsnSecrets(dsn string) []string {
	var found []string
	add := func(s string) {
		forms := []string{s}
		for _, decode := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
			if plain, err := decode(s); err == nil && plain != s {
				forms = append(forms, plain)
			}
		}
		for _, form := range forms {
			if form != "" {
				found = append(found, form)
			}
		}
	}
	add(dsn)
	rest := dsn
	if _, after, ok := strings.Cut(rest, "://"); ok {
		rest = after
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, password, _ := strings.Cut(rest[:at], ":")
		add(rest[:at])
		add(password)
		add(user)
		rest = rest[at+1:]
	}
	for _, secret := range noHosts(rest) {
		add(secret)
	}
	_, query, _ := strings.Cut(rest, "?")
	for option := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(option, "=")
		name = strings.ToLower(name)
		if strings.Contains(name, "password") || strings.Contains(name, "properties") {
			add(value)
		}
	}
	return found
}

// noHosts are the parts of what stands in the place of the servers and cannot be
// one, such as a user and a password that no server follows: the driver says it.
func noHosts(rest string) []string {
	var found []string
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	for host := range strings.SplitSeq(rest, ",") {
		name, port, ok := strings.Cut(host, ":")
		if _, err := strconv.ParseUint(port, 10, 16); ok && err != nil && !strings.HasPrefix(host, "[") {
			found = append(found, port, name)
		}
	}
	return found
}
