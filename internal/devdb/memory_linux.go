package devdb

import "syscall"

// haveMemory reports whether memoryRoot is in memory and has 2 GiB to spare, which is the
// rule on Linux; containers often give it 64 MB.
func haveMemory() bool {
	const tmpfs = 0x01021994
	var st syscall.Statfs_t
	err := syscall.Statfs(memoryRoot, &st)
	return err == nil && int64(st.Type) == tmpfs && st.Bavail*uint64(st.Bsize) >= 2<<30
}
