import Synchronization

/// A defect: the service contradicts an answer that it has given, or itself.
package struct Finding: Sendable, Equatable, CustomStringConvertible {
    package enum Kind: String, Sendable, CaseIterable {
        /// Something that a success reported is missing.
        case lost
        /// Something that was requested once happened twice.
        case doubled
        /// Anything else that contradicts `Sources/API/openapi.json` or the invariants: a wrong sum, an impossible state, a 500, no answer.
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
