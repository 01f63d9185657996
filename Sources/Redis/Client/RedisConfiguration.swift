package import NIOCore
package import NIOSSL

/// How a client reaches its server and how long it waits. Every queue has a bound here.
package struct RedisConfiguration: Sendable {
    package var endpoint: RedisEndpoint
    /// The client's name in `CLIENT LIST`.
    package var clientName = "firstcome"
    /// How long a caller waits for a reply.
    package var commandDeadline: TimeAmount = .seconds(2)
    /// How long connecting, TLS and the handshake may take together.
    package var connectTimeout: TimeAmount = .seconds(5)
    /// How long a server may send nothing while replies are due before the connection is closed and opened again: two deadlines.
    /// Nothing else would ever end a connection on which replies get lost.
    package var stallTimeout: TimeAmount = .seconds(4)
    /// How long `close()` waits for replies that are still due.
    package var drainTimeout: TimeAmount = .seconds(5)
    /// Commands that wait for a reply, per connection; the next one fails with `.overloaded`.
    package var maximumPendingReplies = 16_384
    /// The bytes of one reply; a larger one closes the connection. Redis' own limit for a string is 512 MB.
    package var maximumReplyBytes = 64 << 20
    /// The wait before the first attempt to reconnect; it doubles with each failure, and up to half of it is random.
    package var minimumBackoff: TimeAmount = .milliseconds(20)
    /// The longest wait between two attempts to reconnect: claims may fail for this long after the server is back.
    package var maximumBackoff: TimeAmount = .milliseconds(500)
    /// How often the nodes of a cluster are asked for the slots, at the latest: whatever no reply tells shows within this time.
    package var clusterRefreshInterval: TimeAmount = .seconds(10)
    /// How often a Sentinel is asked for the primary, at the latest.
    package var sentinelPollInterval: TimeAmount = .seconds(1)
    /// Refuses a replica: it answers scripts that only read from data that may be stale, and refuses scripts that write.
    package var requiresPrimary = true
    /// Loaded in every handshake, so that `EVALSHA` finds them.
    package var scripts: [RedisScript] = []
    /// Decides in every handshake whether this client may use the server; nil uses every server.
    package var admission: RedisAdmission?
    /// For `rediss://`.
    package var tls: TLSConfiguration = .makeClientConfiguration()

    /// What a connection is part of.
    enum Role: Sendable {
        /// It is the client's only one on its loop, and sends repeatable commands again by itself.
        case alone
        /// It leads to the primary that a Sentinel named. A router sends commands again.
        case primary
        /// It leads to a primary of a cluster. A router sends commands again.
        case clusterNode
        /// It asks a Sentinel for the primary.
        case sentinel
    }

    var role = Role.alone

    package init(endpoint: RedisEndpoint, scripts: [RedisScript] = []) {
        self.endpoint = endpoint
        self.scripts = scripts
    }
}
