// A script that ends before its tests.
import './talk.mjs'

throw new Error('before the tests')
