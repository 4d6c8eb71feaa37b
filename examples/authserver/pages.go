package main

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oauthdb/oauthdb/store"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticDir embed.FS

// page is what each template gets.
type page struct {
	Title string
	User  *store.User // who is signed in, for the header
	Data  any
}

type pages map[string]*template.Template

var templateFuncs = template.FuncMap{
	"day":     func(t time.Time) string { return t.UTC().Format("2 January 2006") },
	"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"address": addressOf,
	"ago":     func(t time.Time) string { return ago(time.Since(t), t) },
	// initial stands where a logo is missing.
	"initial": func(name string) string {
		first, _ := utf8.DecodeRuneInString(name)
		return string(unicode.ToUpper(first))
	},
}

// ago is a time as people tell it who look back; long ago it is a day.
func ago(passed time.Duration, t time.Time) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit + " ago"
		}
		return fmt.Sprint(n, " ", unit, "s ago")
	}
	switch {
	case passed < time.Minute:
		return "just now"
	case passed < time.Hour:
		return count(int(passed.Minutes()), "minute")
	case passed < 24*time.Hour:
		return count(int(passed.Hours()), "hour")
	case passed < 7*24*time.Hour:
		return count(int(passed.Hours()/24), "day")
	}
	return "on " + t.UTC().Format("2 January 2006")
}

func parsePages() pages {
	layout := template.Must(template.New("layout.html").Funcs(templateFuncs).ParseFS(templateFiles, "templates/layout.html"))
	all := pages{}
	for _, name := range []string{"signin", "address", "consent", "account", "passkeys", "second", "secondfactor", "device", "signout", "signedout", "error"} {
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(templateFiles, "templates/"+name+".html"))
	}
	return all
}

// show sends a page, whole or not at all.
func (p pages) show(w http.ResponseWriter, status int, name string, data page) error {
	var body bytes.Buffer
	if err := p[name].Execute(&body, data); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // whoever asked may have gone
	return nil
}

// fail shows the error page.
func (p pages) fail(w http.ResponseWriter, _ *http.Request, status int, title, detail string) {
	if err := p.show(w, status, "error", page{Title: title, Data: detail}); err != nil {
		http.Error(w, title, status)
	}
}

func staticFiles() http.Handler {
	files := http.FileServerFS(staticDir)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		files.ServeHTTP(w, r)
	})
}
