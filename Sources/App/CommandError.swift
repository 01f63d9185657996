import API
import Redis
import Services
import Store

/// Why a command failed, in one line.
package struct CommandError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

    /// The one-line form of an error of this package; `nil` for any other error.
    package static func describing(_ error: any Error) -> CommandError? {
        switch error {
        case let error as StoreError: CommandError(error.message)
        case let error as ServiceError: CommandError(error.message)
        case let error as RedisError: CommandError("Redis: \(error.message)")
        case let error as TokenKeyError: CommandError(error.message)
        case let error as KeySetError: CommandError(error.message)
        default: nil
        }
    }
}
