import Synchronization

/// Something that must not be: the service contradicts what it has told somebody, or itself.
package struct Finding: Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable, CaseIterable {
        /// A success that was told is not there.
        case lost
        /// Something happened twice that was asked for once.
        case doubled
        /// Anything else that contradicts the contract: a sum that is off, a state out of nothing, a 500, no answer at all.
        case wrong
    }

    package let kind: Kind
    package let text: String

    package var description: String { "\(kind.rawValue): \(text)" }
}

/// Collects findings from many tasks.
package final class Findings: Sendable {
    private let all = Mutex<[Finding]>([])

    package init() {}

    package func add(_ kind: Finding.Kind, _ text: String) {
        all.withLock { $0.append(Finding(kind: kind, text: text)) }
    }

    package func take() -> [Finding] {
        all.withLock { all in
            defer { all = [] }
            return all
        }
    }
}
