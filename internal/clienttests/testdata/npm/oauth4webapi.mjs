import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { browse, connect, given, rejects, runAll, test } from './talk.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(given.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...insecure }))

const key = (jwk) => crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

const authentications = {
  none: () => oauth.None(),
  client_secret_basic: (c) => oauth.ClientSecretBasic(c.secret),
  client_secret_post: (c) => oauth.ClientSecretPost(c.secret),
  private_key_jwt: async (c) => oauth.PrivateKeyJwt({ key: await key(c.jwk), kid: 'k1' }),
}

async function use(name) {
  const c = given.clients[name]
  return { id: { client_id: c.id }, by: await authentications[c.method](c) }
}

async function request(c, more = {}, { push, DPoP } = {}) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const params = new URLSearchParams({
    client_id: c.id.client_id, redirect_uri: given.redirect_uri, response_type: 'code', scope: 'openid profile offline_access', state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  })
  const to = new URL(as.authorization_endpoint)
  if (push) {
    const pushed = await oauth.processPushedAuthorizationResponse(as, c.id, await oauth.pushedAuthorizationRequest(as, c.id, c.by, params, { DPoP, ...insecure }))
    to.searchParams.set('client_id', c.id.client_id)
    to.searchParams.set('request_uri', pushed.request_uri)
  } else {
    to.search = params.toString()
  }
  return { to, verifier, state, nonce }
}

async function grant(c, more, options = {}) {
  const { to, verifier, state, nonce } = await request(c, more, options)
  const back = await browse(to)
  const got = oauth.validateAuthResponse(as, c.id, back instanceof URL ? back : new URLSearchParams(await back.text()), state)
  const response = await oauth.authorizationCodeGrantRequest(as, c.id, c.by, got, given.redirect_uri, verifier, { DPoP: options.DPoP, ...insecure })
  const tokens = await oauth.processAuthorizationCodeResponse(as, c.id, response, { expectedNonce: nonce, requireIdToken: true })
  await oauth.validateApplicationLevelSignature(as, response, insecure)
  return tokens
}

async function refresh(c, token, options) {
  return oauth.processRefreshTokenResponse(as, c.id, await oauth.refreshTokenGrantRequest(as, c.id, c.by, token, { ...options, ...insecure }))
}

async function introspect(c, token) {
  return oauth.processIntrospectionResponse(as, c.id, await oauth.introspectionRequest(as, c.id, c.by, token, insecure))
}

async function userinfo(c, tokens, options) {
  const sub = oauth.getValidatedIdTokenClaims(tokens).sub
  return oauth.processUserInfoResponse(as, c.id, sub, await oauth.userInfoRequest(as, c.id, tokens.access_token, { ...options, ...insecure }))
}

test('what is served', async () => {
  assert.deepEqual(as.code_challenge_methods_supported, ['S256'])
  assert.deepEqual(as.response_types_supported, ['code'])
  assert.deepEqual(as.response_modes_supported, ['query', 'fragment', 'form_post'])
  assert.equal(as.authorization_response_iss_parameter_supported, true)
  for (const method of Object.keys(authentications)) assert.ok(as.token_endpoint_auth_methods_supported.includes(method), method)
})

test('the metadata of an authorization server', async () => {
  const response = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
  const found = await oauth.processDiscoveryResponse(issuer, response)
  for (const member of ['token_endpoint', 'authorization_endpoint', 'pushed_authorization_request_endpoint', 'introspection_endpoint'])
    assert.equal(found[member], as[member], member)
})

for (const method of Object.keys(authentications)) {
  test(`${method}: code, userinfo, refresh, introspection, revocation`, async () => {
    const c = await use(method)
    const tokens = await grant(c)
    assert.equal((await userinfo(c, tokens)).name, 'Grace Hopper')
    const refreshed = await refresh(c, tokens.refresh_token)
    if (method !== 'none') assert.equal((await introspect(c, refreshed.access_token)).active, true)
    oauth.processRevocationResponse(await oauth.revocationRequest(as, c.id, c.by, refreshed.access_token, insecure))
    if (method !== 'none') assert.equal((await introspect(c, refreshed.access_token)).active, false)
    await rejects(() => userinfo(c, refreshed), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
    await refresh(c, refreshed.refresh_token)
  })
}

test('a refresh token that comes back ends the grant', async () => {
  const c = await use('client_secret_basic')
  const first = await grant(c)
  const second = await refresh(c, first.refresh_token)
  const third = await refresh(c, second.refresh_token)
  await rejects(() => refresh(c, first.refresh_token), 'invalid_grant')
  await rejects(() => refresh(c, third.refresh_token), 'invalid_grant')
})

test('parallel refreshes converge', async () => {
  const c = await use('none')
  const tokens = await grant(c)
  const all = await Promise.all(Array.from({ length: 8 }, () => refresh(c, tokens.refresh_token)))
  assert.equal(new Set(all.map((t) => t.refresh_token)).size, 1)
  await refresh(c, all[7].refresh_token)
})

for (const name of ['none', 'client_secret_basic', 'private_key_jwt']) {
  test(`pushed request: ${name}`, async () => {
    const c = await use(name)
    await grant(c, {}, { push: true })
  })
}

test('DPoP', async () => {
  const c = await use('dpop')
  const DPoP = oauth.DPoP(c.id, await oauth.generateKeyPair('ES256'))
  const tokens = await grant(c, {}, { push: true, DPoP })
  assert.equal(tokens.token_type, 'dpop')
  await userinfo(c, tokens, { DPoP })
  await rejects(() => userinfo(c, tokens), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE') // as a bearer token
  const refreshed = await refresh(c, tokens.refresh_token, { DPoP })
  await userinfo(c, refreshed, { DPoP })
  const seen = await introspect(c, refreshed.access_token)
  assert.equal(seen.cnf.jkt, await DPoP.calculateThumbprint())
  await rejects(() => grant(c, {}, { push: true }), 'invalid_grant') // a client that is registered for it has to
})

test('device', async () => {
  const c = await use('device')
  const device = await oauth.processDeviceAuthorizationResponse(as, c.id, await oauth.deviceAuthorizationRequest(as, c.id, c.by, { scope: 'openid' }, insecure))
  const poll = async () => oauth.processDeviceCodeResponse(as, c.id, await oauth.deviceCodeGrantRequest(as, c.id, c.by, device.device_code, insecure))
  await rejects(poll, 'authorization_pending')
  await connect(device.user_code)
  await new Promise((resolve) => setTimeout(resolve, (device.interval ?? 5) * 1000))
  assert.ok(oauth.getValidatedIdTokenClaims(await poll()).sub)
})

test('client credentials', async () => {
  const c = await use('machine')
  const response = await oauth.clientCredentialsGrantRequest(as, c.id, c.by, { scope: 'files' }, insecure)
  const tokens = await oauth.processClientCredentialsResponse(as, c.id, response)
  assert.equal(tokens.scope, 'files')
})

test('token exchange', async () => {
  const c = await use('client_secret_basic')
  const tokens = await grant(c)
  const response = await oauth.genericTokenEndpointRequest(as, c.id, c.by, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token: tokens.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
  }, insecure)
  const exchanged = await oauth.processGenericTokenEndpointResponse(as, c.id, response)
  assert.equal((await introspect(c, exchanged.access_token)).active, true)
})

for (const mode of ['query', 'form_post']) test(`response_mode ${mode}`, async () => grant(await use('client_secret_post'), { response_mode: mode }))

test('the issuer is named, and looked at', async () => {
  const c = await use('none')
  const { to, state } = await request(c)
  const back = await browse(to)
  for (const change of [(p) => p.delete('iss'), (p) => p.set('iss', 'https://other.example')]) {
    const altered = new URL(back)
    change(altered.searchParams)
    assert.throws(() => oauth.validateAuthResponse(as, c.id, altered, state), { code: 'OAUTH_INVALID_RESPONSE' })
  }
  oauth.validateAuthResponse(as, c.id, back, state)
})

test('a wrong secret is told as one', async () => {
  const c = { ...(await use('client_secret_basic')), by: oauth.ClientSecretBasic('wrong') }
  await rejects(() => refresh(c, 'x'), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
  await rejects(() => refresh({ ...c, by: oauth.ClientSecretPost('wrong') }, 'x'), 'invalid_client')
})

await runAll()
