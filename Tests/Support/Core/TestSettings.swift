import Foundation

/// The environment variables by which a developer or a `make` target configures tests.
package enum TestSettings {
    package static func number(_ name: String) -> Int? { ProcessInfo.processInfo.environment[name].flatMap { Int($0) } }

    /// The value of `SEED`, which repeats the random choices of a run that failed; random without it.
    package static var seed: UInt64 {
        ProcessInfo.processInfo.environment["SEED"].flatMap { UInt64($0) } ?? .random(in: 1...999_999_999)
    }
}
