package main

import (
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
)

func TestVersionSaysWhatWasBuilt(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"00001_a.sql": {}, "00026_b.sql": {}, "embed.go": {}}
	for _, c := range []struct {
		info *debug.BuildInfo
		want string
	}{
		{nil, "oauthdb devel, schema 26, \n"},
		{&debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v0.1.0"}}, "oauthdb v0.1.0, schema 26, go1.26\n"},
		{&debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"},
		}}, "oauthdb devel (commit 0123456789ab, changed), schema 26, go1.26\n"},
	} {
		v, err := newVersionRecord(c.info, files)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if v.text(&b); b.String() != c.want {
			t.Errorf("it says %q, want %q", b.String(), c.want)
		}
	}
	if _, err := newVersionRecord(nil, fstest.MapFS{"new.sql": {}}); err == nil {
		t.Error("a file without a number is taken for a migration")
	}
}

func TestStartSaysWhereTheServerIs(t *testing.T) {
	t.Parallel()
	r := startRecord{Private: true, Version: "15.1", Port: 5432, PID: 7, Programs: "/bin", Data: "/data", Log: "/log", URL: "postgres://a@b/c"}
	want := "PostgreSQL 15.1 runs on port 5432 (process 7)\nprograms     /bin\ndata         /data\nlog          /log\nconnect with postgres://a@b/c\n"
	var b strings.Builder
	if r.text(&b); b.String() != want {
		t.Errorf("it says %q", b.String())
	}
	b.Reset()
	if (startRecord{URL: "postgres://a@b/c"}).text(&b); !strings.HasPrefix(b.String(), "DATABASE_URL points at a server") {
		t.Errorf("it says %q", b.String())
	}
}
