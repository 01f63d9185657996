package import Foundation

/// The whole result of a run, as it is written to the JSON file.
package struct Report: Codable, Sendable {
    package let startedAt: Date
    package var seconds: Double = 0
    package let isQuick: Bool
    package let rounds: Int
    package let only: String?
    package let machine: Machine
    package let versions: [String: String]
    package var findings = Findings()
    package var targets: [TargetResult] = []

    /// All problems, each with the row it belongs to.
    package var problems: [String] {
        findings.problems + findings.rows.flatMap { measured in measured.problems.map { "\(measured.row.rawValue): \($0)" } }
    }

    /// Reads a JSON file that a run has written.
    package static func read(_ path: String) throws -> Report {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        return try decoder.decode(Report.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Writes the report to a file named by its time, and to the file of the latest run; returns where.
    func write(to folder: String) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        let bytes = try encoder.encode(self)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let name = startedAt.formatted(.iso8601.timeSeparator(.omitted).dateSeparator(.omitted))
        let path = "\(folder)/bench-\(name).json"
        try bytes.write(to: URL(fileURLWithPath: path))
        try bytes.write(to: URL(fileURLWithPath: folder + "/latest.json"))
        return path
    }
}
