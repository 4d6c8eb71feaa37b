package token

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"
)

const (
	base62Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

	bitsLength     = 43 // 62^43 > 2^256
	checksumLength = 6  // 62^6 > 2^32
	bodyLength     = bitsLength + checksumLength
)

func isBase62(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// appendBits appends 256 bits, as a big-endian number in base 62, with zeros on its left to the full width.
func appendBits(dst []byte, b *[32]byte) []byte {
	const (
		chunkDigits = 10
		chunk       = 839299365868340224 // 62^10, the most that a 64-bit division takes off at once
	)
	words := [4]uint64{
		binary.BigEndian.Uint64(b[0:]), binary.BigEndian.Uint64(b[8:]),
		binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[24:]),
	}
	var text [bitsLength]byte
	for end := bitsLength; end > 0; end -= chunkDigits {
		var rest uint64
		for i := range words {
			words[i], rest = bits.Div64(rest, words[i], chunk)
		}
		putBase62(text[max(0, end-chunkDigits):end], rest)
	}
	return append(dst, text[:]...)
}

// appendChecksum appends the CRC-32 of all that dst holds.
func appendChecksum(dst []byte) []byte {
	sum := checksum(string(dst))
	return append(dst, sum[:]...)
}

// checksum returns the CRC-32 (IEEE) of s as a number in base 62.
func checksum(s string) (text [checksumLength]byte) {
	// Not crc32.ChecksumIEEE: it takes a slice, to which s would have to be copied on the heap.
	crc := ^uint32(0)
	for i := range len(s) {
		crc = crc32.IEEETable[byte(crc)^s[i]] ^ crc>>8
	}
	putBase62(text[:], uint64(^crc))
	return text
}

// putBase62 fills text with the lowest digits of n.
func putBase62(text []byte, n uint64) {
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = base62Alphabet[n%62]
		n /= 62
	}
}
