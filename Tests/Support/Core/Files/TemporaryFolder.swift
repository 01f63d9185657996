import Foundation

/// A new folder with a short name: a unix socket's path inside it must not exceed 107 bytes (sun_path).
package struct TemporaryFolder: Sendable {
    package let path = "/tmp/fe-\(UInt32.random(in: 0 ... .max))"

    package init() {
        // A failure shows at the first use.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    package func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}
