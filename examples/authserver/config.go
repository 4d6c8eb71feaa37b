package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/oauthdb/oauthdb/adapters/zitadel"
)

// config is what flags and the environment say. Each flag has its environment variable, AUTHSERVER_SESSION_LIFETIME for
// -session-lifetime; secrets come from the environment or from files alone, since a command line can be read by all users of a machine.
type config struct {
	addr, demoAddr           string
	addrGiven, demoAddrGiven bool
	issuer                   string
	demo                     bool
	behindProxy              bool
	logLevel                 slog.Level
	addUser, addClient       string
	addRegistrations         int
	migrate, migrateOnly     bool
	healthcheck              bool
	drain, shutdownTimeout   time.Duration
	signUp                   bool
	smtpAddr, smtpUser       string
	mailFrom                 string

	requestLifetime, codeLifetime, accessTokenLifetime, idTokenLifetime, refreshTokenLifetime, familyLifetime, grace time.Duration
	sessionLifetime, maxSessionLifetime                                                                              time.Duration
	maxSessions                                                                                                      int
	offers                                                                                                           offers

	databaseURL, collectorDatabaseURL string
	successorKeys, keyEncryptionKeys  [][]byte
	smtpPassword                      string

	mailer Mailer
}

// secrets are the variables that no flag stands for. Each may name a file instead, as containers are given them: DATABASE_URL_FILE for
// DATABASE_URL.
var secrets = []struct {
	name, usage string
	set         func(c *config, value string) error
}{
	{
		"DATABASE_URL", "PostgreSQL connection string: the application's role, or the owner's for -migrate-only",
		func(c *config, value string) error { c.databaseURL = value; return nil },
	},
	{
		environmentPrefix + "COLLECTOR_DATABASE_URL", "connection string of the collector's role, if DATABASE_URL may not delete what is over",
		func(c *config, value string) error { c.collectorDatabaseURL = value; return nil },
	},
	{
		environmentPrefix + "SUCCESSOR_KEYS", "keys that refresh tokens are derived with: 32 bytes in base64 each, the newest first, separated by commas",
		func(c *config, value string) (err error) { c.successorKeys, err = keysOf(value); return err },
	},
	{
		environmentPrefix + "KEY_ENCRYPTION_KEYS", "keys that encrypt the signing keys and the secrets of authenticator apps in the database, written alike",
		func(c *config, value string) (err error) { c.keyEncryptionKeys, err = keysOf(value); return err },
	},
	{
		environmentPrefix + "SMTP_PASSWORD", "password for -smtp-user",
		func(c *config, value string) error { c.smtpPassword = value; return nil },
	},
}

const environmentPrefix = "AUTHSERVER_"

// flags are those that set c.
func (c *config) flags(output io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("authserver", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&c.addr, "addr", "127.0.0.1:8080", "`address` to serve on")
	flags.StringVar(&c.issuer, "issuer", "", "`URL` by which clients and browsers reach this server; https, except on this machine (default: http and -addr)")
	flags.BoolVar(&c.demo, "demo", false, "migrate, seed a demo user and demo clients, known to everybody, and serve a demo app; on this machine only")
	flags.StringVar(&c.demoAddr, "demo-addr", "127.0.0.1:8081", "`address` of the demo app")
	flags.BoolVar(&c.behindProxy, "behind-proxy", false, "take the browser's address from the last X-Forwarded-For, which a proxy of yours sets")
	flags.TextVar(&c.logLevel, "log-level", slog.LevelWarn, "debug, info, warn or error")
	flags.BoolVar(&c.migrate, "migrate", false, "bring the database's schema up to date before serving, for which the database role has to own the tables")
	flags.BoolVar(&c.migrateOnly, "migrate-only", false, "bring the database's schema up to date, give the roles of docs/privileges.md what they need if there are any, and exit")
	flags.BoolVar(&c.healthcheck, "healthcheck", false, "ask the server at -addr whether it is ready, and exit with 0 if it is, for containers without a shell")
	flags.DurationVar(&c.drain, "drain", 5*time.Second, "when stopped, how long to go on serving while /readyz says no, so that load balancers look elsewhere; with -demo 0 by default")
	flags.DurationVar(&c.shutdownTimeout, "shutdown-timeout", 20*time.Second, "after that, how long requests under way may take")
	flags.BoolVar(&c.signUp, "sign-up", false, "let people create accounts for themselves, whose e-mail address is verified by a code; with -demo true by default")
	flags.StringVar(&c.smtpAddr, "smtp-addr", "", "`host:port` of the server that takes mail, by TLS on port 465 and else by STARTTLS; without it nobody can sign up or choose a new password")
	flags.StringVar(&c.smtpUser, "smtp-user", "", "`name` to sign in at that server with, if it asks for one")
	flags.StringVar(&c.mailFrom, "mail-from", "", "`address` that mail comes from, such as Lovelace ID <no-reply@id.example.com>")
	flags.StringVar(&c.addUser, "add-user", "", "add a user with this `e-mail` address, reading the password from standard input, and exit")
	flags.StringVar(&c.addClient, "add-client", "", "register a client by its RFC 7591 document in this JSON `file`, print its id and secret, and exit")
	flags.IntVar(&c.addRegistrations, "add-registrations", 0, "let so many clients be registered with -registration token: print an initial access token, good for 30 days, and exit")
	flags.DurationVar(&c.requestLifetime, "request-lifetime", zitadel.DefaultRequestLifetime, "how long an authorization request awaits the user")
	flags.DurationVar(&c.codeLifetime, "code-lifetime", zitadel.DefaultCodeLifetime, "lifetime of authorization codes")
	flags.DurationVar(&c.accessTokenLifetime, "access-token-lifetime", zitadel.DefaultAccessTokenLifetime, "lifetime of access tokens")
	flags.DurationVar(&c.idTokenLifetime, "id-token-lifetime", zitadel.DefaultIDTokenLifetime, "lifetime of ID tokens")
	flags.DurationVar(&c.refreshTokenLifetime, "refresh-token-lifetime", zitadel.DefaultRefreshTokenLifetime, "lifetime of each refresh token")
	flags.DurationVar(&c.familyLifetime, "grant-lifetime", 0, "how long a grant can last, however often it is refreshed; 0: no such bound")
	flags.DurationVar(&c.grace, "grace", zitadel.DefaultGrace, "for how long a replaced refresh token is taken for a retry; negative: never")
	flags.DurationVar(&c.sessionLifetime, "session-lifetime", 14*24*time.Hour, "how long a browser that does not come back stays signed in")
	flags.DurationVar(&c.maxSessionLifetime, "max-session-lifetime", 90*24*time.Hour, "how long a browser stays signed in at most")
	flags.IntVar(&c.maxSessions, "max-sessions", listLength, "in how many browsers a user is signed in at most, of which the oldest is signed out; 0: any number")
	flags.StringVar(&c.offers.registration, "registration", registrationClosed, "who may register clients (RFC 7591): nobody (closed), who has an initial access `token`, or everybody (open); with -demo open by default")
	flags.BoolVar(&c.offers.clientDocuments, "client-documents", false, "serve clients whose id is the URL of their metadata document; with -demo true by default")
	flags.BoolVar(&c.offers.dpopNonces, "dpop-nonces", false, "have DPoP proofs carry a nonce of this server's")
	flags.Var(&c.offers.scopes, "scopes", "`scopes` that clients may ask for which have none registered, beside those about the user, separated by spaces")
	flags.Var(&c.offers.resources, "resources", "`URIs` of the resource servers that clients may name which have none registered (RFC 8707), separated by spaces")

	flags.Usage = func() {
		fmt.Fprintf(output, "Usage of %s:\n", flags.Name())
		flags.PrintDefaults()
		fmt.Fprintf(output, "\nEach flag has an environment variable, %s for -%s. These have no flag; with %s they name a file:\n", variableOf(flags.Lookup("addr")), "addr", fileSuffix)
		for _, s := range secrets {
			fmt.Fprintf(output, "  %s\n    \t%s\n", s.name, s.usage)
		}
	}
	return flags
}

// variableOf is the environment variable of a flag.
func variableOf(f *flag.Flag) string {
	return environmentPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

func parseConfig(args []string, getenv func(string) string, output io.Writer) (*config, error) {
	c := &config{}
	flags := c.flags(output)
	var err error
	given := map[string]bool{}
	flags.VisitAll(func(f *flag.Flag) {
		name := variableOf(f)
		if value := getenv(name); value != "" && err == nil {
			if setErr := flags.Set(f.Name, value); setErr != nil {
				err = fmt.Errorf("%s: %w", name, setErr)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	c.addrGiven, c.demoAddrGiven = given["addr"], given["demo-addr"]
	if c.demo && !given["drain"] {
		c.drain = 0
	}
	if c.demo && !given["registration"] {
		c.offers.registration = registrationOpen
	}
	if c.demo && !given["client-documents"] {
		c.offers.clientDocuments = true
	}
	if c.demo && !given["sign-up"] {
		c.signUp = true
	}
	for _, s := range secrets {
		value, err := secretOf(getenv, s.name)
		if err != nil {
			return nil, err
		}
		if err := s.set(c, value); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return c, c.check()
}

const fileSuffix = "_FILE"

// secretOf is the value of a variable, or what the file holds that it names with _FILE. Line ends at its end are no part of it.
func secretOf(getenv func(string) string, name string) (string, error) {
	value, file := getenv(name), getenv(name+fileSuffix)
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", fmt.Errorf("%[1]s and %[1]s%[2]s are both set: unset one", name, fileSuffix)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("%s%s: %w", name, fileSuffix, err)
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

// keysOf reads keys, the newest first, in base64 and separated by commas. Its errors hold nothing of them.
func keysOf(value string) ([][]byte, error) {
	var keys [][]byte
	for i, encoded := range strings.Split(value, ",") {
		encoded = strings.TrimSpace(encoded)
		if encoded == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) != 32 {
			return nil, fmt.Errorf("key %d is not 32 bytes in base64, as from openssl rand -base64 32", i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// noDatabase is what whoever starts the server without a database is told.
const noDatabase = "no database: set DATABASE_URL, or DATABASE_URL_FILE, to the connection string of a PostgreSQL; in a clone of oauthdb `make run` " +
	"starts one, and `DATABASE_URL=$(go run github.com/oauthdb/oauthdb/cmd/oauthdb url)` does so for any other command"

func (c *config) check() error {
	if c.healthcheck {
		return nil
	}
	if c.databaseURL == "" {
		return errors.New(noDatabase)
	}
	if c.demo {
		for flag, addr := range map[string]string{"-addr": c.addr, "-demo-addr": c.demoAddr} {
			if !loopbackAddress(addr) {
				return fmt.Errorf("%s %s: -demo serves on 127.0.0.1 or [::1] alone, since its passwords are known to everybody", flag, addr)
			}
		}
		if len(c.successorKeys) == 0 {
			c.successorKeys = [][]byte{demoKey("successor")}
		}
		if len(c.keyEncryptionKeys) == 0 {
			c.keyEncryptionKeys = [][]byte{demoKey("key encryption")}
		}
	}
	if c.issuer != "" {
		u, err := url.Parse(c.issuer)
		switch {
		case err != nil:
			return fmt.Errorf("-issuer: %w", err)
		case u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil:
			return fmt.Errorf("-issuer %s: not the URL of a server", c.issuer)
		case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			return fmt.Errorf("-issuer %s: it may have no path, query or fragment", c.issuer)
		case u.Scheme == "http" && !loopbackHost(u.Hostname()):
			return fmt.Errorf("-issuer %s: http is for this machine alone; everywhere else it has to be https", c.issuer)
		case c.demo && !loopbackHost(u.Hostname()):
			return fmt.Errorf("-issuer %s: -demo is for this machine alone", c.issuer)
		}
		c.issuer = strings.TrimSuffix(c.issuer, "/")
	} else if !loopbackAddress(c.addr) && !c.administers() {
		return errors.New("-issuer is required when others than this machine can reach the server: its https URL")
	}
	if err := c.offers.check(); err != nil {
		return err
	}
	switch {
	case c.smtpAddr != "":
		var err error
		if c.mailer, err = newSMTPMailer(c.smtpAddr, c.smtpUser, c.smtpPassword, c.mailFrom); err != nil {
			return err
		}
	case c.signUp && !c.demo:
		return errors.New("-sign-up needs -smtp-addr and -mail-from: people prove their e-mail address by a code that is mailed")
	}
	if c.addRegistrations < 0 {
		return errors.New("-add-registrations can't be negative")
	}
	if c.drain < 0 || c.shutdownTimeout < 0 {
		return errors.New("-drain and -shutdown-timeout can't be negative")
	}
	if c.administers() {
		return nil
	}
	if len(c.successorKeys) == 0 || len(c.keyEncryptionKeys) == 0 {
		return fmt.Errorf("%[1]sSUCCESSOR_KEYS and %[1]sKEY_ENCRYPTION_KEYS are required: 32 random bytes each (openssl rand -base64 32), the newest first, separated by commas; -demo does without", environmentPrefix)
	}
	for name, lifetime := range map[string]time.Duration{
		"-request-lifetime": c.requestLifetime, "-code-lifetime": c.codeLifetime, "-access-token-lifetime": c.accessTokenLifetime,
		"-id-token-lifetime": c.idTokenLifetime, "-refresh-token-lifetime": c.refreshTokenLifetime,
		"-session-lifetime": c.sessionLifetime, "-max-session-lifetime": c.maxSessionLifetime,
	} {
		if lifetime < time.Second {
			return fmt.Errorf("%s: %s is less than a second", name, lifetime)
		}
	}
	if c.familyLifetime != 0 && c.familyLifetime < time.Second {
		return fmt.Errorf("-grant-lifetime: %s is less than a second, and not 0", c.familyLifetime)
	}
	if c.maxSessions < 0 || c.maxSessions > math.MaxInt32 {
		return fmt.Errorf("-max-sessions: %d is not a number of sessions", c.maxSessions)
	}
	return nil
}

// administers says that the command is there to do something else than serve.
func (c *config) administers() bool {
	return c.migrateOnly || c.addUser != "" || c.addClient != "" || c.addRegistrations != 0
}

// settle completes the issuer, once it is known which port is served. The demo's has a name, since passkeys are for names and not for addresses.
func (c *config) settle(addr net.Addr) {
	if c.issuer != "" {
		return
	}
	c.issuer = "http://" + addr.String()
	if _, port, err := net.SplitHostPort(addr.String()); err == nil && c.demo {
		c.issuer = "http://localhost:" + port
	}
}

func (c *config) options(logger *slog.Logger) options {
	o := options{
		issuer:             c.issuer,
		behindProxy:        c.behindProxy,
		sessionLifetime:    c.sessionLifetime,
		maxSessionLifetime: c.maxSessionLifetime,
		maxSessions:        int32(c.maxSessions),
		passwordParams:     passwordParams,
		mailer:             c.mailer,
		signUp:             c.signUp,
		codeKey:            codeKey(c.keyEncryptionKeys[0]),
		sealKeys:           c.keyEncryptionKeys,
		logger:             logger,
		storage: zitadel.Options{
			SuccessorKeys: c.successorKeys, KeyEncryptionKeys: c.keyEncryptionKeys,
			RequestLifetime: c.requestLifetime, CodeLifetime: c.codeLifetime, AccessTokenLifetime: c.accessTokenLifetime,
			IDTokenLifetime: c.idTokenLifetime, RefreshTokenLifetime: c.refreshTokenLifetime, FamilyLifetime: c.familyLifetime, Grace: c.grace,
			Logger: logger,
		},
	}
	c.offers.configure(&o.storage, c.demo)
	o.outbound = c.offers.outbound(c.demo)
	return o
}

// codeKey is derived from another key, as codes are short-lived: one that was mailed before that key was replaced has to be asked for again.
func codeKey(of []byte) []byte {
	key, err := hkdf.Key(sha256.New, of, nil, "authserver one-time codes", 32)
	if err != nil {
		panic(err) // only of a length that is too great
	}
	return key
}

// demoKey is known to everybody, so that a restarted demo reads what it wrote before.
func demoKey(use string) []byte {
	key := sha256.Sum256([]byte("oauthdb demo, " + use + " key, known to everybody"))
	return key[:]
}

func loopbackAddress(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && loopbackHost(host)
}

func loopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
