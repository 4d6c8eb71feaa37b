// What the scripts have of the test: clients that are registered, a browser whose user agrees to everything, and the results.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

export const given = JSON.parse((await lines.next()).value)

async function ask(question) {
  process.stdout.write(JSON.stringify(question) + '\n')
  return JSON.parse((await lines.next()).value)
}

// browse opens an address and answers with the request that the client's redirect URI gets, one with a body if it is posted there.
export async function browse(url) {
  const got = await ask({ open: url.toString() })
  if (got.body === undefined) return new URL(got.url)
  return new Request(got.url, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: got.body })
}

// connect enters the code of a device.
export const connect = (code) => ask({ device: code })

const tests = []
export const test = (name, run) => tests.push({ name, run })

export async function runAll() {
  for (const { name, run } of tests) {
    let failed
    try {
      await run()
    } catch (e) {
      failed = `${e.stack}\n${JSON.stringify(e.cause?.body ?? e.cause?.parameters ?? e.cause ?? null)}`
    }
    process.stdout.write(JSON.stringify({ name, failed }) + '\n')
  }
  process.exit(0)
}

export async function rejects(run, code) {
  await assert.rejects(run, (e) => {
    assert.equal(e.error ?? e.cause?.error ?? e.code, code, `${e.stack}\n${JSON.stringify(e.cause ?? null)}`)
    return true
  })
}
