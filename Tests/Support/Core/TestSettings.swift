import Foundation

/// What a developer or a target of `make` sets for tests as environment variables.
package enum TestSettings {
    package static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    /// `SEED`, which repeats the choices of a run that failed; without it another one each time.
    package static var seed: UInt64 {
        ProcessInfo.processInfo.environment["SEED"].flatMap { UInt64($0) } ?? .random(in: 1...999_999_999)
    }
}
