// How is npm's node-hl7-server started for a measurement? As its README says; prints its port.
import { createServer } from 'node:net'
import { createRequire } from 'node:module'

const require = createRequire(process.argv[2] + '/')
const { Server } = require('node-hl7-server')

const probe = createServer()
probe.listen(0, '127.0.0.1', () => {
  const { port } = probe.address()
  probe.close(() => {
    const server = new Server({ bindAddress: '127.0.0.1' })
    const inbound = server.createInbound({ port }, async (req, res) => { await res.sendResponse('AA') })
    inbound.on('listen', () => console.log(port))
    inbound.on('client.error', () => {})
    inbound.on('error', () => {})
  })
})
