/// Counts what the service has spent so far, in something that does not depend on what else the machine does.
protocol Meter: Sendable {
    /// The command that runs the service so that this can count.
    func wrap(_ command: [String]) -> [String]

    /// The count of the running service, all its threads together.
    func read(pid: Int32) async throws -> Double
}

extension Cost {
    /// - Parameter folder: for what the meter needs; the service's own files lie elsewhere.
    func meter(binary: String, folder: String) async throws -> any Meter {
        switch self {
        case .allocations: try AllocationMeter(binary: binary, folder: folder)
        case .instructions: try await InstructionMeter(binary: binary, folder: folder)
        }
    }
}
