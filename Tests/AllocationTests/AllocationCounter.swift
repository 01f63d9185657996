import Foundation

/// The count of a process into which `CountingAllocator` was preloaded, read from the file that both share.
struct AllocationCounter: Sendable {
    struct Unreadable: Error { let path: String }

    private let path: String

    /// Makes the file, for the process that is to be started with ``environment(library:)``.
    init(in folder: String) throws {
        path = folder + "/allocations"
        try Data(count: MemoryLayout<UInt64>.size).write(to: URL(fileURLWithPath: path))
    }

    /// What has to stand before a command whose allocations are to be counted.
    func wrap(library: String) -> [String] { ["env", "LD_PRELOAD=\(library)", "FIRSTCOME_ALLOCATIONS=\(path)"] }

    func read() throws -> UInt64 {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        guard bytes.count == MemoryLayout<UInt64>.size else { throw Unreadable(path: path) }
        return bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }
}
