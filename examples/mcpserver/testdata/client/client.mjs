// A client of the Model Context Protocol, by its official SDK: node client.mjs SERVER [METADATA_DOCUMENT]. It prints where the user has to go,
// reads from its standard input where the browser came back to, and calls a tool; then once more with an access token that has been lost.
import { createInterface } from 'node:readline'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'

const [server, document] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (message) => process.stdout.write(JSON.stringify(message) + '\n')

class Provider {
  clientMetadataUrl = document
  redirectUrl = 'http://127.0.0.1:9/callback'
  clientMetadata = {
    client_name: 'Notebook',
    redirect_uris: [this.redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  }
  state() { return 'a-state' }
  clientInformation() { return this.client }
  saveClientInformation(client) { this.client = client }
  tokens() { return this.given }
  saveTokens(tokens) { this.given = tokens }
  saveCodeVerifier(verifier) { this.verifier = verifier }
  codeVerifier() { return this.verifier }
  redirectToAuthorization(url) { say({ authorize: String(url) }) }
}

const provider = new Provider()

async function connected() {
  const transport = new StreamableHTTPClientTransport(new URL(server), { authProvider: provider })
  const client = new Client({ name: 'notebook', version: '1' })
  try {
    await client.connect(transport)
    return client
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error
  }
  const back = new URL((await lines.next()).value)
  if (back.searchParams.get('state') !== 'a-state') throw new Error(`the browser came back to ${back}`)
  await transport.finishAuth(back.searchParams.get('code'))
  return connected()
}

async function whoami() {
  const client = await connected()
  const { tools } = await client.listTools()
  const result = await client.callTool({ name: 'whoami', arguments: {} })
  await client.close()
  return { tools: tools.map((tool) => tool.name), caller: result.structuredContent }
}

const first = await whoami()
const refreshToken = provider.given.refresh_token
let second
if (refreshToken) {
  provider.given = { ...provider.given, access_token: 'lost' }
  second = await whoami()
}
say({ first, second, client: provider.client.client_id, rotated: refreshToken && provider.given.refresh_token !== refreshToken })
process.exit(0)
