/// Where one node listens: a server of a cluster, a Sentinel, or the primary that a Sentinel names.
package struct RedisNodeAddress: Sendable, Hashable, CustomStringConvertible {
    /// A name or an IP address, without brackets.
    package let host: String
    package let port: Int

    package init(host: String, port: Int) { (self.host, self.port) = (host, port) }

    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
