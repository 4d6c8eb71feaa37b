package calls

import (
	"testing"

	"github.com/oauthdb/oauthdb/store"
)

// A server may issue refresh tokens for offline_access alone (OpenID Connect Core, section 11).
func TestRefreshTokenMayNeedOfflineAccess(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	w.Exec(`UPDATE oauth_client SET grant_types = grant_types || '{authorization_code}' WHERE client_id = $1`, w.Client)
	for _, needs := range []bool{false, true} {
		for name, granted := range map[string]bool{"online": false, "offline": true} {
			_, code := w.Grant(func(p *store.GrantAuthorizationParams) {
				if !granted {
					online(p)
				}
			})
			want := granted || !needs
			ask := func(p *store.RedeemAuthorizationCodeParams) { p.RefreshTokenNeedsOfflineAccess = needs }
			call := w.RedeemParams(code)
			ask(&call)
			for _, outcome := range []store.Outcome{store.OutcomeRedeemed, store.OutcomeRetried} {
				row, err := w.Q.RedeemAuthorizationCode(w.Ctx, call)
				w.OK(err)
				w.want("RedeemAuthorizationCode", row.Outcome, outcome)
				wantEqual(t, name+": a refresh token for a code", row.RefreshTokenID != nil && row.RefreshTokenExpiresAt != nil, want)
			}

			d := w.approvedDevice(func(p *store.ApproveAuthorizationParams) {
				if !granted {
					p.GrantedScopes = []string{"openid"}
				}
			})
			row := w.poll(d.code, store.OutcomeRedeemed, func(p *store.PollDeviceCodeParams) { p.RefreshTokenNeedsOfflineAccess = needs })
			wantEqual(t, name+": a refresh token for a device", row.RefreshToken != nil && row.RefreshTokenExpiresAt != nil, want)
		}
	}
}

// What a client has registered about its ID tokens comes with the tokens (OpenID Connect Dynamic Client Registration, section 2).
func TestAnswersSayHowTheClientWantsItsIDTokensSigned(t *testing.T) {
	t.Parallel()
	w := newDeviceWorld(t, 2)
	w.Exec(`UPDATE oauth_client SET grant_types = grant_types || '{authorization_code}' WHERE client_id = $1`, w.Client)
	for metadata, want := range map[string]*string{
		`{"id_token_signed_response_alg": "RS256"}`: new("RS256"), `{"id_token_signed_response_alg": null}`: nil, `{}`: nil,
	} {
		w.Exec(`UPDATE oauth_client SET metadata = $1 WHERE client_id = $2`, metadata, w.Client)
		_, code := w.Grant()
		redeemed := w.redeem(code, store.OutcomeRedeemed)
		wantEqual(t, "for a code", redeemed.IDTokenSignedResponseAlg, want)
		d := w.approvedDevice()
		wantEqual(t, "for a device", w.poll(d.code, store.OutcomeRedeemed).IDTokenSignedResponseAlg, want)
		rotated, _ := w.Rotate("rt-"+d.code, store.OutcomeRotated)
		wantEqual(t, "for a refresh token", rotated.IDTokenSignedResponseAlg, want)
	}
}
