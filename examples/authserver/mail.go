package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/oauthdb/oauthdb/db"
)

// Message is a mail to one person.
type Message struct {
	To, Subject, Text string
}

// Mailer sends mail. An error of Send is logged, so it holds neither the text nor the address.
type Mailer interface {
	Send(ctx context.Context, m Message) error
}

// printingMailer shows mail instead of sending it, for the demo.
type printingMailer struct{ to io.Writer }

func (p printingMailer) Send(_ context.Context, m Message) error {
	_, err := fmt.Fprintf(p.to, "\n  Mail to %s\n  %s\n\n%s\n", m.To, m.Subject, m.Text)
	return err
}

// smtpMailer hands mail to a server (RFC 5321, RFC 6409). The connection is encrypted, but on this machine it need not be.
type smtpMailer struct {
	client *mail.Client
	from   string
}

const (
	smtpTimeout    = 20 * time.Second
	submissionsTLS = 465 // is encrypted from the beginning (RFC 8314, section 3.3); other ports are by STARTTLS
)

func newSMTPMailer(addr, user, password, from string) (*smtpMailer, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("-smtp-addr: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("-smtp-addr: %q is not a port", portText)
	}
	if err := mail.NewMsg().From(from); err != nil {
		return nil, fmt.Errorf("-mail-from: %q is not an address", from)
	}
	o := []mail.Option{mail.WithPort(port), mail.WithTimeout(smtpTimeout), mail.WithTLSPolicy(tlsPolicy(host))}
	if port == submissionsTLS {
		o = append(o, mail.WithSSL())
	}
	if user != "" {
		o = append(o, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(user), mail.WithPassword(password))
	}
	client, err := mail.NewClient(host, o...)
	return &smtpMailer{client, from}, err
}

func tlsPolicy(host string) mail.TLSPolicy {
	if loopbackHost(host) {
		return mail.TLSOpportunistic
	}
	return mail.TLSMandatory
}

func (s *smtpMailer) Send(ctx context.Context, m Message) error {
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := message.From(s.from); err != nil {
		return err
	}
	if err := message.To(m.To); err != nil {
		return errors.New("the address can't be used")
	}
	message.Subject(m.Subject)
	message.SetDate()
	message.SetMessageID()
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notices
	message.SetBodyString(mail.TypeTextPlain, m.Text)
	err := s.client.DialAndSendWithContext(ctx, message)
	var refused *mail.SendError
	if errors.As(err, &refused) { // its own text names the addressee
		return fmt.Errorf("the mail server: %s", refused.Reason)
	}
	return err
}

// outbox writes and sends mail after the answer has gone out: how long a request takes must not tell whether an address is known. What waits
// when the process dies is lost, and asked for again.
type outbox struct {
	mailer  Mailer
	logger  *slog.Logger
	letters chan letter
	sent    atomic.Int64
}

// letter looks up what there is to say. Nil: nothing.
type letter func(context.Context) (*Message, error)

const (
	lettersWaiting = 256
	lettersAtOnce  = 4
	lastLetters    = 10 * time.Second // for those that wait when the server stops
)

func newOutbox(mailer Mailer, logger *slog.Logger) *outbox {
	return &outbox{mailer: mailer, logger: logger, letters: make(chan letter, lettersWaiting)}
}

// post never waits. If there is too much mail, some is not sent.
func (o *outbox) post(l letter) {
	select {
	case o.letters <- l:
	default:
		o.logger.Error("mail is not sent: too much is waiting")
	}
}

// work sends until ctx ends, and then what is still waiting.
func (o *outbox) work(ctx context.Context) {
	done := make(chan struct{})
	for range lettersAtOnce {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case l := <-o.letters:
					o.send(ctx, l)
				case <-ctx.Done():
					o.empty(context.WithoutCancel(ctx))
					return
				}
			}
		}()
	}
	for range lettersAtOnce {
		<-done
	}
}

func (o *outbox) empty(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastLetters)
	defer cancel()
	for {
		select {
		case l := <-o.letters:
			o.send(ctx, l)
		default:
			return
		}
	}
}

func (o *outbox) send(ctx context.Context, l letter) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), smtpTimeout)
	defer cancel()
	defer o.sent.Add(1)
	fail := func(why string) {
		o.logger.LogAttrs(ctx, slog.LevelError, "mail is not sent", slog.String("error", why))
	}
	message, err := l(ctx)
	if err != nil {
		fail(db.Describe(err))
		return
	}
	if message == nil {
		return
	}
	if err := o.mailer.Send(ctx, *message); err != nil {
		fail(err.Error())
	}
}
