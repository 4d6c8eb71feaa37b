package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"testing"

	gomail "github.com/wneessen/go-mail"
)

// smtpServer takes one mail, or refuses its addressee, and returns what it got.
func smtpServer(t *testing.T, refuse bool) (addr string, got <-chan string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	data := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		c := textproto.NewConn(conn)
		answer := func(line string) { _ = c.PrintfLine("%s", line) }
		answer("220 ready")
		for {
			line, err := c.ReadLine()
			switch command, _, _ := strings.Cut(line, " "); {
			case err != nil:
				return
			case command == "EHLO":
				answer("250 localhost")
			case command == "RCPT" && refuse:
				answer("550 no such user ada@example.com")
			case command == "DATA":
				answer("354 go on")
				text, _ := io.ReadAll(c.DotReader())
				data <- string(text)
				answer("250 taken")
			case command == "QUIT":
				answer("221 bye")
				return
			default:
				answer("250 ok")
			}
		}
	}()
	return listener.Addr().String(), data
}

func TestMailGoesToAServer(t *testing.T) {
	t.Parallel()
	addr, got := smtpServer(t, false)
	mailer, err := newSMTPMailer(addr, "", "", "Lovelace ID <no-reply@id.example.com>")
	if err != nil {
		t.Fatal(err)
	}
	if err := mailer.Send(t.Context(), Message{"ada@example.com", "Your code: 1234 5678", "Grüße\n.\nEnter 1234 5678\n"}); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(<-got)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != "Your code: 1234 5678" || m.Header.Get("To") != "<ada@example.com>" ||
		m.Header.Get("From") != `"Lovelace ID" <no-reply@id.example.com>` || m.Header.Get("Auto-Submitted") != "auto-generated" || m.Header.Get("Date") == "" {
		t.Errorf("%q %v", m.Header, err)
	}
	if !strings.Contains(strings.ReplaceAll(string(text), "\r\n", "\n"), "Grüße\n.\nEnter 1234 5678\n") {
		t.Errorf("%q", text)
	}
}

func TestMailThatIsRefusedIsLoggedWithoutItsAddress(t *testing.T) {
	t.Parallel()
	addr, _ := smtpServer(t, true)
	mailer, err := newSMTPMailer(addr, "", "", "no-reply@id.example.com")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o := newOutbox(mailer, slog.New(slog.NewTextHandler(&log, nil)))
	o.send(t.Context(), func(context.Context) (*Message, error) {
		return &Message{"ada@example.com", "a subject", "a text"}, nil
	})
	told := log.String()
	if !strings.Contains(told, "mail is not sent") || strings.Contains(told, "ada@") || strings.Contains(told, "a text") || strings.Contains(told, "a subject") {
		t.Errorf("the log says %s", told)
	}
}

func TestMailIsEncryptedButOnThisMachine(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]gomail.TLSPolicy{
		"mail.example.com": gomail.TLSMandatory, "192.0.2.1": gomail.TLSMandatory, "localhost.example.com": gomail.TLSMandatory,
		"127.0.0.1": gomail.TLSOpportunistic, "localhost": gomail.TLSOpportunistic,
	} {
		if got := tlsPolicy(host); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
	for _, c := range [][2]string{{"mail.example.com", "a@b.example"}, {"mail.example.com:smtp", "a@b.example"}, {"mail.example.com:587", "nobody"}, {"mail.example.com:587", ""}} {
		if _, err := newSMTPMailer(c[0], "", "", c[1]); err == nil {
			t.Errorf("%q is taken", c)
		}
	}
}

func TestMailThatWaitsIsSentWhenTheServerStops(t *testing.T) {
	t.Parallel()
	var box mailbox
	o := newOutbox(&box, slog.New(slog.DiscardHandler))
	for range lettersWaiting + 5 { // the last ones are dropped, and nobody waits
		o.post(func(ctx context.Context) (*Message, error) { return &Message{To: "ada@example.com"}, ctx.Err() })
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	o.work(ctx)
	if len(box.messages) != lettersWaiting {
		t.Errorf("%d were sent", len(box.messages))
	}
}

func TestALetterThatFailsDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	var box mailbox
	o := newOutbox(&box, slog.New(slog.DiscardHandler))
	o.post(func(context.Context) (*Message, error) { return nil, errors.New("the database is gone") })
	o.post(func(context.Context) (*Message, error) { return nil, nil })
	o.post(func(context.Context) (*Message, error) { return &Message{To: "ada@example.com"}, nil })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	o.work(ctx)
	if len(box.messages) != 1 || o.sent.Load() != 3 {
		t.Errorf("%d were sent of %d", len(box.messages), o.sent.Load())
	}
}
