import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { browse, connect, given, rejects, runAll, test } from './talk.mjs'

const key = (jwk) => crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

const authentications = {
  none: () => client.None(),
  client_secret_basic: (c) => client.ClientSecretBasic(c.secret),
  client_secret_post: (c) => client.ClientSecretPost(c.secret),
  private_key_jwt: async (c) => client.PrivateKeyJwt({ key: await key(c.jwk), kid: 'k1' }),
}

async function discover(name, metadata) {
  const c = given.clients[name]
  const method = c.method
  return client.discovery(new URL(given.issuer), c.id, metadata, await authentications[method](c), { execute: [client.allowInsecureRequests] })
}

async function request(more) {
  const codeVerifier = client.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier: codeVerifier, expectedState: client.randomState(), expectedNonce: client.randomNonce(), idTokenExpected: true }
  const params = {
    redirect_uri: given.redirect_uri, scope: 'openid email offline_access', state: checks.expectedState, nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(codeVerifier), code_challenge_method: 'S256', ...more,
  }
  return { params, checks }
}

async function grant(config, more, options) {
  const { params, checks } = await request(more)
  const back = await browse(client.buildAuthorizationUrl(config, params))
  return client.authorizationCodeGrant(config, back, checks, undefined, options)
}

for (const method of Object.keys(authentications)) {
  test(`${method}: code, userinfo, refresh, introspection, revocation`, async () => {
    const config = await discover(method)
    client.enableNonRepudiationChecks(config) // verifies the signature of the ID token
    const tokens = await grant(config)
    assert.equal(tokens.claims().iss, given.issuer)
    assert.equal(tokens.scope, 'openid email offline_access')
    const { sub } = tokens.claims()
    const info = await client.fetchUserInfo(config, tokens.access_token, sub)
    assert.equal(info.email, given.email)
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
    assert.notEqual(refreshed.refresh_token, tokens.refresh_token)
    assert.equal(refreshed.claims().sub, sub)
    if (method !== 'none') {
      const live = await client.tokenIntrospection(config, refreshed.access_token)
      assert.equal(live.active, true)
      assert.equal(live.client_id, given.clients[method].id)
    }
    await client.tokenRevocation(config, refreshed.refresh_token)
    await rejects(() => client.refreshTokenGrant(config, refreshed.refresh_token), 'invalid_grant')
    if (method !== 'none') assert.equal((await client.tokenIntrospection(config, refreshed.access_token)).active, false)
    await rejects(() => client.fetchUserInfo(config, refreshed.access_token, sub), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
  })
}

test('parallel refreshes converge', async () => {
  const config = await discover('client_secret_basic')
  const tokens = await grant(config)
  const all = await Promise.all(Array.from({ length: 8 }, () => client.refreshTokenGrant(config, tokens.refresh_token)))
  assert.equal(new Set(all.map((t) => t.refresh_token)).size, 1)
  await client.refreshTokenGrant(config, all[0].refresh_token)
})

test('a code is good once', async () => {
  const config = await discover('client_secret_basic')
  const { params, checks } = await request()
  const back = await browse(client.buildAuthorizationUrl(config, params))
  await client.authorizationCodeGrant(config, back, checks)
  await rejects(() => client.authorizationCodeGrant(config, back, checks), 'invalid_grant')
})

test('pushed request', async () => {
  const config = await discover('private_key_jwt')
  const { params, checks } = await request()
  const to = await client.buildAuthorizationUrlWithPAR(config, params)
  assert.deepEqual([...to.searchParams.keys()].sort(), ['client_id', 'request_uri'])
  const tokens = await client.authorizationCodeGrant(config, await browse(to), checks)
  assert.ok(tokens.refresh_token)
})

for (const name of ['none', 'private_key_jwt', 'dpop']) {
  test(`DPoP: ${name}`, async () => {
    const config = await discover(name)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
    const { params, checks } = await request()
    const to = await client.buildAuthorizationUrlWithPAR(config, params, { DPoP })
    const tokens = await client.authorizationCodeGrant(config, await browse(to), checks, undefined, { DPoP })
    assert.equal(tokens.token_type, 'dpop')
    await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, { DPoP })
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
    await client.fetchUserInfo(config, refreshed.access_token, refreshed.claims().sub, { DPoP })
    const another = client.getDPoPHandle(config, await client.randomDPoPKeyPair())
    await rejects(() => client.fetchUserInfo(config, refreshed.access_token, refreshed.claims().sub, { DPoP: another }), 'OAUTH_WWW_AUTHENTICATE_CHALLENGE')
    if (name === 'none') await rejects(() => client.refreshTokenGrant(config, refreshed.refresh_token, undefined, { DPoP: another }), 'invalid_grant')
  })
}

test('device', async () => {
  const config = await discover('device')
  const device = await client.initiateDeviceAuthorization(config, { scope: 'openid offline_access' })
  const polling = client.pollDeviceAuthorizationGrant(config, device)
  await connect(device.user_code)
  const tokens = await polling
  assert.ok(tokens.claims().sub)
  await client.refreshTokenGrant(config, tokens.refresh_token)
})

test('client credentials', async () => {
  const config = await discover('machine')
  const tokens = await client.clientCredentialsGrant(config, { scope: 'files' })
  assert.equal((await client.tokenIntrospection(config, tokens.access_token)).scope, 'files')
  await rejects(() => client.clientCredentialsGrant(config, { scope: 'other' }), 'invalid_scope')
})

test('token exchange', async () => {
  const config = await discover('client_secret_basic')
  const tokens = await grant(config)
  const exchanged = await client.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token: tokens.access_token, subject_token_type: 'urn:ietf:params:oauth:token-type:access_token', scope: 'openid',
  })
  assert.equal(exchanged.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token')
  await client.fetchUserInfo(config, exchanged.access_token, tokens.claims().sub)
})

for (const mode of ['query', 'form_post']) {
  test(`response_mode ${mode}`, async () => {
    const config = await discover('client_secret_basic')
    const tokens = await grant(config, { response_mode: mode })
    assert.ok(tokens.id_token)
  })
}

test('JARM is not served, and says so', async () => {
  const config = await discover('client_secret_basic')
  assert.ok(!config.serverMetadata().response_modes_supported.some((mode) => mode.includes('jwt')))
  const { params, checks } = await request({ response_mode: 'jwt' })
  const back = await browse(client.buildAuthorizationUrl(config, params))
  await rejects(() => client.authorizationCodeGrant(config, back, checks), 'invalid_request')
})

test('the issuer is named, and looked at', async () => {
  const config = await discover('client_secret_basic')
  for (const change of [(p) => p.delete('iss'), (p) => p.set('iss', 'https://other.example')]) {
    const { params, checks } = await request()
    const back = await browse(client.buildAuthorizationUrl(config, params))
    assert.equal(back.searchParams.get('iss'), given.issuer)
    change(back.searchParams)
    await rejects(() => client.authorizationCodeGrant(config, back, checks), 'OAUTH_INVALID_RESPONSE')
  }
})

test('errors reach the client', async () => {
  const config = await discover('client_secret_basic')
  for (const [more, error] of [[{ scope: 'files' }, 'invalid_scope'], [{ resource: 'https://bank.example' }, 'invalid_target'], [{ prompt: 'none', max_age: '0' }, 'login_required']]) {
    const { params, checks } = await request(more)
    const back = await browse(client.buildAuthorizationUrl(config, params))
    await rejects(() => client.authorizationCodeGrant(config, back, checks), error)
  }
})

test('max_age', async () => {
  const config = await discover('client_secret_basic')
  const { params, checks } = await request({ max_age: '1000' })
  const back = await browse(client.buildAuthorizationUrl(config, params))
  const tokens = await client.authorizationCodeGrant(config, back, { ...checks, maxAge: 1000 })
  assert.equal(typeof tokens.claims().auth_time, 'number')
})

test('RP-initiated logout', async () => {
  const config = await discover('client_secret_basic')
  const { params, checks } = await request({ scope: 'openid' }) // without offline_access the grant ends with the session
  const tokens = await client.authorizationCodeGrant(config, await browse(client.buildAuthorizationUrl(config, params)), checks)
  const to = client.buildEndSessionUrl(config, { post_logout_redirect_uri: given.post_logout_redirect_uri, id_token_hint: tokens.id_token, state: 'a state' })
  const back = await browse(to)
  assert.equal(back.toString(), given.post_logout_redirect_uri + '?state=a+state')
  assert.equal((await client.tokenIntrospection(config, tokens.access_token)).active, false)
})

test('a resource', async () => {
  const config = await discover('client_secret_basic')
  const tokens = await grant(config, { resource: given.resource })
  const seen = await client.tokenIntrospection(config, tokens.access_token)
  assert.ok([seen.aud].flat().includes(given.resource))
  const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, { resource: given.resource })
  assert.ok([(await client.tokenIntrospection(config, refreshed.access_token)).aud].flat().includes(given.resource))
  await rejects(() => client.refreshTokenGrant(config, refreshed.refresh_token, { resource: 'https://bank.example' }), 'invalid_target')
})

if (given.registration) {
  test('registration', async () => {
    const metadata = { client_name: 'registered by itself', redirect_uris: [given.redirect_uri], grant_types: ['authorization_code', 'refresh_token'] }
    for (const method of ['client_secret_basic', 'client_secret_post', 'none']) {
      const auth = { client_secret_basic: client.ClientSecretBasic(), client_secret_post: client.ClientSecretPost(), none: client.None() }[method]
      const config = await client.dynamicClientRegistration(new URL(given.issuer), { ...metadata, token_endpoint_auth_method: method }, auth, {
        execute: [client.allowInsecureRequests],
      })
      const tokens = await grant(config)
      await client.refreshTokenGrant(config, tokens.refresh_token)
    }
  })

  test('a registration that is refused', async () => {
    const metadata = { redirect_uris: ['https://client.example/#fragment'] }
    await rejects(
      () => client.dynamicClientRegistration(new URL(given.issuer), metadata, undefined, { execute: [client.allowInsecureRequests] }),
      'invalid_redirect_uri',
    )
  })
}

await runAll()
