// A script whose second test fails.
import assert from 'node:assert/strict'
import { given, runAll, test } from './talk.mjs'

test('what passes', () => assert.ok(given.issuer))
test('what fails', () => assert.equal(1, 2))
await runAll()
