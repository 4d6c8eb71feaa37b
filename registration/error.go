package registration

// The error codes of RFC 7591, section 3.2.2, that a document's form can come to.
const (
	InvalidRedirectURI    = "invalid_redirect_uri"
	InvalidClientMetadata = "invalid_client_metadata"
)

// Error says what is amiss with a document. It repeats no value of it.
type Error struct {
	Code    string // InvalidRedirectURI or InvalidClientMetadata
	Member  string // of the document; empty if the document as a whole is meant
	Problem string // "is not a string", for example
}

// Error returns a text that fits an error_description.
func (e *Error) Error() string {
	if e.Member == "" {
		return "the registration document " + e.Problem
	}
	return e.Member + " " + e.Problem
}

func refuse(member, problem string) *Error {
	code := InvalidClientMetadata
	if member == "redirect_uris" {
		code = InvalidRedirectURI
	}
	return &Error{Code: code, Member: member, Problem: problem}
}
