package db

import (
	"strings"
	"testing"
)

func TestServersBefore15AreRefused(t *testing.T) {
	t.Parallel()
	for number, name := range map[int32]string{150000: "15.0", 150013: "15.13", 160001: "16.1", 180000: "18.0"} {
		if err := checkVersion(number, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for number, name := range map[int32]string{140019: "14.19 (Debian)", 130000: "13.0", 90624: "9.6.24"} {
		err := checkVersion(number, name)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "15") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
