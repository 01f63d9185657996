package import Foundation

/// A new folder with a short name: a unix socket's path inside it must not exceed 107 bytes (sun_path).
package struct TemporaryFolder: Sendable {
    package enum Place: Sendable {
        case disk
        /// In memory where the system has such a place: suites that commit thousands of times, each with its fsync, would measure the
        /// disk. What a disk adds, surviving a power cut, no test in this process can see.
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
        // A failure shows at the first use.
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    package var url: URL { URL(filePath: path, directoryHint: .isDirectory) }

    package func remove() {
        try? FileManager.default.removeItem(atPath: path)
    }
}
