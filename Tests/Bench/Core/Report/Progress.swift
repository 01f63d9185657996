import Foundation

/// Prints one line for each step on standard error; standard output is for the tables.
package struct Progress: Sendable {
    private let start = ContinuousClock.now

    package init() {}

    package func tell(_ line: String) {
        let seconds = Int(start.duration(to: .now) / .seconds(1))
        let clock = "\(seconds / 60):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60)"
        FileHandle.standardError.write(Data("\(clock)  \(line)\n".utf8))
    }
}

extension Sample {
    var line: String {
        let others = foreignShare > 0.1 ? ", others used \(Int(foreignShare * 100)) % of the machine" : ""
        let state = problems.isEmpty ? "" : "  FAILED: \(problems.joined(separator: "; "))"
        let groups = groupSize.map { ", \(Figure.short($0)) writes per commit" } ?? ""
        let late = lateSeconds.map { ", \(Figure.short($0)) s later all was done" } ?? ""
        return "\(Figure.count(perSecond))/s, \(Figure.short(cpu)) us CPU\(groups)\(late)\(others)\(state)"
    }
}
