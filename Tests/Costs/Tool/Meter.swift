/// What a request costs, in units that can be counted exactly.
enum Cost: String, CaseIterable, Sendable {
    case allocations, instructions
}

/// Counts what a server has spent so far.
protocol Meter: Sendable {
    /// The command that runs the server so that this can count.
    func wrap(_ command: [String]) -> [String]

    /// Called once after the server has answered requests.
    mutating func attach(to pid: Int32) async throws

    /// The count of the running server.
    func read() async throws -> Double
}

/// A server cannot be measured.
struct CostFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
