package import Foundation

/// A new folder with a short name: a unix socket's path inside it must not exceed 107 bytes (sun_path).
package struct TemporaryFolder: Sendable {
    package enum Place: Sendable {
        case disk
        /// In memory where possible, because suites that commit thousands of times, each with an fsync, would take the disk's time. No test
        /// in this process could check that data on a disk survives a power cut.
        case memory

        fileprivate var path: String {
            switch self {
            case .disk: "/tmp"
            case .memory: FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : "/tmp"
            }
        }
    }

    package let path: String

    package init(on place: Place = .disk) {
        path = "\(place.path)/fe-\(UInt32.random(in: 0 ... .max))"
        // A failure shows when the folder is first used.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    package var url: URL { URL(filePath: path, directoryHint: .isDirectory) }

    package func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}
