package token

// Kind says what a credential is for. A token of one kind is refused where another is asked for.
type Kind uint8

// The kinds of credentials. Their values may change between releases: store the prefix or the name, if anything.
const (
	AccessToken             Kind = iota + 1 // RFC 6749 §1.4; in the scheme "odb": odb_at_
	RefreshToken                            // RFC 6749 §1.5: odb_rt_
	AuthorizationCode                       // RFC 6749 §1.3.1: odb_ac_
	RequestURI                              // the reference at the end of a pushed request's URN, RFC 9126 §2.2: odb_ru_
	ClientSecret                            // RFC 6749 §2.3.1: odb_cs_
	SessionToken                            // the cookie of a user's browser session: odb_st_
	RegistrationAccessToken                 // RFC 7592 §3: odb_ra_
	DeviceCode                              // RFC 8628 §3.2: odb_dc_
	AuthReqID                               // CIBA Core §7.3: odb_ar_
	InitialAccessToken                      // RFC 7591 §3: odb_ia_
)

// kinds holds the code of each kind, which stands in its prefix, and its name. Codes are two characters long, and once
// used are never given to another kind.
var kinds = [...]struct{ code, name string }{
	AccessToken:             {"at", "access_token"},
	RefreshToken:            {"rt", "refresh_token"},
	AuthorizationCode:       {"ac", "authorization_code"},
	RequestURI:              {"ru", "request_uri"},
	ClientSecret:            {"cs", "client_secret"},
	SessionToken:            {"st", "session_token"},
	RegistrationAccessToken: {"ra", "registration_access_token"},
	DeviceCode:              {"dc", "device_code"},
	AuthReqID:               {"ar", "auth_req_id"},
	InitialAccessToken:      {"ia", "initial_access_token"},
}

const codeLength = 2

func (k Kind) known() bool { return k != 0 && int(k) < len(kinds) }

// String returns the name of the kind, which is that of the OAuth parameter that carries it: "access_token",
// "refresh_token" (so also the token_type_hint of RFC 7009 §2.1), "authorization_code", "request_uri", "client_secret",
// "session_token", "registration_access_token", "device_code", "auth_req_id", "initial_access_token"; and "unknown" for any other value.
func (k Kind) String() string {
	if !k.known() {
		return "unknown"
	}
	return kinds[k].name
}

func kindOfCode(code string) (Kind, bool) {
	for k := AccessToken; int(k) < len(kinds); k++ {
		if kinds[k].code == code {
			return k, true
		}
	}
	return 0, false
}
