import Foundation
import TestSupport

/// Allocations of all threads, counted by `CountingAllocator` in the server and read from the file that both share.
struct AllocationMeter: Meter {
    private let library: String
    private let path: String

    init(folder: String) throws {
        library = try Tool.executable().deletingLastPathComponent().appendingPathComponent("libCountingAllocator.so").path
        guard FileManager.default.isReadableFile(atPath: library) else { throw Tool.Missing(description: "\(library) is not built") }
        path = folder + "/allocations"
        try Data(count: MemoryLayout<UInt64>.size).write(to: URL(fileURLWithPath: path))
    }

    func wrap(_ command: [String]) -> [String] { ["env", "LD_PRELOAD=\(library)", "FIRSTCOME_ALLOCATIONS=\(path)"] + command }

    func attach(to pid: Int32) {}

    func read() throws -> Double {
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        guard bytes.count == MemoryLayout<UInt64>.size else { throw CostFailure("\(path) holds no counter") }
        return Double(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
    }
}
