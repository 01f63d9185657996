import Foundation
import TestSupport

/// Allocations, counted by `CountingAllocator` in the service and read from the file that both share.
struct AllocationMeter: Meter {
    private struct Unreadable: Error { let path: String }

    private let binary: String
    private let library: String
    private let path: String

    init(binary: String, folder: String) throws {
        self.binary = binary
        library = try Tool.executable().deletingLastPathComponent().appendingPathComponent("libCountingAllocator.so").path
        guard FileManager.default.isReadableFile(atPath: library) else { throw Tool.Missing(description: "\(library) is not built") }
        path = folder + "/allocations"
        try Data(count: MemoryLayout<UInt64>.size).write(to: URL(fileURLWithPath: path))
    }

    func wrap(_ command: [String]) -> [String] {
        ["env", "LD_PRELOAD=\(library)", "FIRSTCOME_ALLOCATIONS=\(path)", binary] + command.dropFirst()
    }

    func read(pid: Int32) throws -> Double {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        guard bytes.count == MemoryLayout<UInt64>.size else { throw Unreadable(path: path) }
        return Double(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    }
}
