/// The kinds of cost of a request, which can be counted exactly.
enum Cost: String, CaseIterable, Sendable {
    case allocations, instructions
}

/// Counts the cost of a server process.
protocol Meter: Sendable {
    /// The command that runs the server under this meter.
    func wrap(_ command: [String]) -> [String]

    /// Called once after the server has answered requests.
    mutating func attach(to pid: Int32) async throws

    /// The count of the running server so far.
    func read() async throws -> Double
}

/// A server cannot be measured.
struct CostFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
