import NIOCore

/// Where a connection comes from, for counting by source: an IPv4 address, or the first 64 bits of an IPv6 address, because one customer
/// of a network usually has all addresses of a /64.
package struct PeerAddress: Hashable, Sendable {
    /// 0 for a unix socket and for requests that were made without a connection.
    private let value: UInt64

    /// The source of requests that no network connection brought.
    package static let local = PeerAddress(value: 0)

    private init(value: UInt64) { self.value = value }

    /// The source with an IPv4 address, given as a number.
    package init(ipv4 address: UInt32) { value = 0xFFFF << 32 | UInt64(address) }

    /// The system's structures have the IPv4 address at offset 4, and the IPv6 address at offset 8.
    init(_ address: SocketAddress?) {
        switch address {
        case .v4(let address):
            self = withUnsafeBytes(of: address.address) { PeerAddress(ipv4: UInt32(bigEndian: $0.load(fromByteOffset: 4, as: UInt32.self))) }
        case .v6(let address):
            self = withUnsafeBytes(of: address.address) { PeerAddress(ipv6: UnsafeRawBufferPointer(rebasing: $0[8..<24])) }
        case .unixDomainSocket, nil: self = .local
        }
    }

    /// A socket that serves both protocols shows an IPv4 address as `::ffff:a.b.c.d`.
    private init(ipv6 bytes: UnsafeRawBufferPointer) {
        let high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
        let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        if high == 0, low >> 32 == 0xFFFF { self.init(ipv4: UInt32(truncatingIfNeeded: low)) } else { self.init(value: high) }
    }
}
