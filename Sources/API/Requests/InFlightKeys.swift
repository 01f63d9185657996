import Crypto
import HTTPServer
import NIOCore
import Store
import Synchronization

/// The idempotency keys whose first request is still running; a second request is refused instead of waiting. A mutex guards them.
final class InFlightKeys: Sendable {
    private struct Key: Hashable {
        let scope: String
        let key: String
    }

    private let running = Mutex<Set<Key>>([])

    /// Takes the key for one request; `false` where another request has it. A caller that got `true` must call ``release(_:)``.
    func take(_ key: IdempotencyKey) -> Bool {
        running.withLock { $0.insert(Key(scope: key.scope, key: key.key)).inserted }
    }

    func release(_ key: IdempotencyKey) {
        running.withLock { _ = $0.remove(Key(scope: key.scope, key: key.key)) }
    }
}

extension IdempotencyKey {
    /// The key of a request that sent an `Idempotency-Key`; `nil` without one.
    init?(_ request: HTTPRequest, of identity: Identity) throws(RequestFault) {
        guard let key = request.value(of: .idempotencyKey) else { return nil }
        // A comma may be part of a key, or join the values of two fields; the joined text is then a third key, which does no harm.
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw RequestFault(field: "Idempotency-Key", "must have 1 to 255 visible ASCII characters")
        }
        self.init(scope: "\(identity.role):\(identity.subject)", key: key, fingerprint: IdempotencyKey.fingerprint(of: request))
    }

    /// A digest of method, path and body. The lines before the body cannot hold a line feed, so no two requests read alike.
    static func fingerprint(of request: HTTPRequest) -> [UInt8] {
        var hash = SHA256()
        hash.update(data: Array("\(request.method.rawValue) ".utf8))
        request.withPath { hash.update(bufferPointer: $0) }
        hash.update(data: [UInt8(ascii: "\n")])
        request.body.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return Array(hash.finalize())
    }
}
